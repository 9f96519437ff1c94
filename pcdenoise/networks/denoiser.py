"""The whole-cloud EdgeConv denoiser: a chain of stages, each a score model of its own."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.kernels.gather_max import EDGE_FEATURES, gather_max
from pcdenoise.kernels.neighbourhood import MOMENTS, NeighbourGraph
from pcdenoise.networks.edgeconv import EdgeConvBlock, in_cache
from pcdenoise.networks.embedding import sigma_embedding


class DenoisingStage(nn.Module):
    """EdgeConv features `F_T` of a noisy cloud and a per-point head that moves each point.

        move_i = s_i ( sum_k A_k,i m_k,i + (sigma / s_i) b_i ),   (A, b) = head(F_T)

    `m_k` is the mean offset of the k nearest neighbours, `s` the local spacing. Everything the network sees is measured
    in local spacings, so scale and position of the cloud do not matter.

    Args:
        channels: width of the features.
        blocks: number of EdgeConv blocks.
        neighbours: k of the graph.
        neighbourhoods: neighbour counts whose moments are the input.
        received: width of the features handed over by the stage before, 0 for the first stage.
        handed_on: width of the features handed to the next stage.
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        neighbours: int,
        neighbourhoods: tuple[int, ...],
        received: int,
        handed_on: int,
        embedding: int = 16,
    ) -> None:
        super().__init__()
        self.neighbours, self.neighbourhoods, self.embedding = neighbours, tuple(neighbourhoods), embedding
        scales = len(self.neighbourhoods)
        self.moments = nn.Linear(MOMENTS * scales, channels)
        self.noise = nn.Linear(embedding, channels)
        self.edge = nn.Parameter(torch.randn(EDGE_FEATURES, channels))
        self.mix = nn.Linear(2 * channels + received, channels)
        self.blocks = nn.ModuleList(EdgeConvBlock(channels) for _ in range(blocks))
        self.norm = nn.LayerNorm(channels)
        self.hidden = nn.Linear(channels, channels)
        self.head = nn.Linear(channels, 9 * scales + 3)
        self.hand_on = nn.Linear(channels, handed_on)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, graph: NeighbourGraph, sigma: Tensor, received: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Displacement and features of the first `graph.sizes[-1]` rows.

        Args:
            graph: neighbourhoods of the noisy cloud.
            sigma: (n, 1) noise in the unit of the points, for all rows of the graph.
            received: (n, received) features from the stage before.

        Returns:
            displacement (m, 3) in the unit of the points, features handed on (m, handed_on).
        """
        first, last = graph.sizes[0], graph.sizes[-1]
        relative = sigma[:first] / graph.spacing[:first]
        given = relative.new_empty(first, 0) if received is None else received[:first]
        columns = (relative, graph.moments[:first], graph.edges[:first], given)
        x = torch.cat([self._input(*rows) for rows in zip(*map(in_cache, columns), strict=True)])
        for block, size in zip(self.blocks, graph.sizes[1:], strict=True):
            x = block(x, graph.idx[:size], graph.edges[:size])
        columns = (x, relative[:last], graph.moments[:last], graph.spacing[:last])
        parts = [self._output(*rows) for rows in zip(*map(in_cache, columns), strict=True)]
        return torch.cat([move for move, _ in parts]), torch.cat([features for _, features in parts])

    def _input(self, relative: Tensor, moments: Tensor, edges: Tensor, received: Tensor) -> Tensor:
        """Features of rows from their neighbourhoods and noise in local spacings."""
        inputs = self.moments(moments.flatten(1)) + self.noise(sigma_embedding(relative, self.embedding))
        itself = torch.zeros(edges.shape[:2], dtype=torch.int32, device=edges.device)
        shape = gather_max(edges.new_zeros(1, self.edge.shape[1]), itself, edges, self.edge)
        return self.mix(F.silu(torch.cat([inputs, shape, received], dim=1)))  # type: ignore[no-any-return]

    def _output(self, x: Tensor, relative: Tensor, moments: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor]:
        """Displacement in the unit of the points, and features to hand on."""
        x = self.norm(x)
        head = self.head(F.silu(self.hidden(x)))
        matrices = head[:, 3:].view(len(x), len(self.neighbourhoods), 3, 3)
        move = torch.einsum("nkij,nkj->ni", matrices, moments[:, :, :3]) + relative * head[:, :3]
        return move * spacing, self.hand_on(x)


class StagedDenoiser(nn.Module):
    """Stages applied one after another, each to the cloud the one before has moved, on a graph built anew.

    Stage `p` is trained on what stage `p - 1` leaves, so any number of leading stages is a denoiser: stages are passes.

    Args:
        channels, neighbours, neighbourhoods: see `DenoisingStage`.
        blocks: EdgeConv blocks of each stage.
        handed_on: width of the features that travel with each point from stage to stage.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: tuple[int, ...] = (4, 4, 4),
        neighbours: int = 32,
        neighbourhoods: tuple[int, ...] = (4, 8, 16, 32),
        handed_on: int = 16,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            DenoisingStage(
                channels, count, neighbours, tuple(neighbourhoods), received=handed_on if p else 0, handed_on=handed_on
            )
            for p, count in enumerate(blocks)
        )
