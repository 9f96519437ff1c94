"""EdgeConv as PyTorch Geometric computes it, edge by edge: what the fused blocks are compared with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.networks.edgeconv import EdgeConvBlock


def edge_index(idx: Tensor) -> Tensor:
    """PyG's form (2, n k) of a neighbour table (n, k): from each neighbour to its centre."""
    centres = torch.arange(len(idx), device=idx.device).repeat_interleave(idx.shape[1])
    return torch.stack([idx.long().flatten(), centres])


def edge_conv(x: Tensor, idx: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """`max_j function(x_i, x_j - x_i)` (Wang et al., "Dynamic Graph CNN", 2019, eqs. 2 and 8), by PyG's `EdgeConv`.

    Args:
        x: (n, F).
        idx: (n, k) neighbours of each row.
        function: takes (n k, 2 F), the centre's features and the difference, to (n k, C).

    Returns:
        (n, C).
    """
    from torch_geometric.nn import EdgeConv

    # PyG draws the weights of a module anew that it is given; of a function it knows none.
    return EdgeConv(lambda pair: function(pair), aggr="max")(x, edge_index(idx))  # type: ignore[no-any-return]


class ReferenceEdgeConvBlock(nn.Module):
    """An `EdgeConvBlock` with its maximum over neighbours by PyG's `EdgeConv`: the same output, at a GEMM per edge.

    Features, position and spacing of a point form one vector `z`; of `z_i` and `z_j - z_i` the edge function makes

        B y_j + W e_ij,   y_j = y_i + (y_j - y_i),   e_ij = (p_j - p_i, |p_j - p_i|) / s_i

    Args:
        block: whose weights are used.
    """

    def __init__(self, block: EdgeConvBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, idx: Tensor, positions: Tensor, spacing: Tensor, noise: Tensor) -> Tensor:
        """Output (n, C) for features x (n, C), neighbours idx (n, k), positions (n, 3), spacing (n, 1)."""
        block, channels = self.block, x.shape[1]

        def function(pair: Tensor) -> Tensor:
            centre, difference = pair.chunk(2, dim=1)
            y, _, s = torch.split(centre, [channels, 3, 1], dim=1)
            dy, dp, _ = torch.split(difference, [channels, 3, 1], dim=1)
            edge = torch.cat([dp, dp.norm(dim=1, keepdim=True)], dim=1) / s
            return block.neighbour(y + dy) + edge @ block.edge  # type: ignore[no-any-return]

        y = block._normed(x, noise)
        gathered = edge_conv(torch.cat([y, positions, spacing], dim=1), idx, function)
        x = x + block.out(F.silu(block.centre(y) + gathered))
        return x + block.reduce(F.silu(block.expand(block.mlp_norm(x))))  # type: ignore[no-any-return]


class ReferenceDynamicEdgeConv(nn.Module):
    """EdgeConv on the k nearest rows in feature space, each row among them, as PyG's `DynamicEdgeConv` has it.

    PyG finds these neighbours only where pyg-lib is installed; here they come from an exhaustive search. The graph
    follows the features, so a value may depend on any row: such a block does not run in tiles.

    Args:
        function: see `edge_conv`.
        neighbours: k.
    """

    def __init__(self, function: nn.Module, neighbours: int) -> None:
        super().__init__()
        self.function, self.neighbours = function, neighbours

    def forward(self, x: Tensor) -> Tensor:
        """(n, F) -> (n, C)."""
        distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
        return edge_conv(x, distances.topk(self.neighbours, largest=False).indices, self.function)
