"""EdgeConv in its linear-first form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.kernels import edgeconv_numba
from pcdenoise.kernels.array_graph import EDGE_FEATURES
from pcdenoise.kernels.gather_max import gather_max

ROWS_IN_CACHE = 4096  # of 64 channels: 1 MB


class EdgeConvBlock(nn.Module):
    """Residual linear-first EdgeConv followed by a residual point-wise MLP.

        y = LayerNorm(x);  x <- x + O silu(A y_i + max_j (B y_j + W e_ij));  x <- x + MLP(LayerNorm(x))

    EdgeConv (Wang et al., "Dynamic Graph CNN", 2019) with a linear edge function and the activation after the maximum,
    where a monotone one makes no difference: two GEMMs per point instead of one per edge. With `film` the first
    normalisation is followed by `y <- (1 + a) y + b`, `(a, b)` linear in an embedding of the noise level.

    Args:
        channels: width C.
        expansion: width of the point-wise MLP over C.
        film: width of the embedding, 0 for none.

    Shapes:
        x (m, C), idx (n, k) int32, edges (n, k, 4), noise (m, film) -> (n, C), with n <= m; rows n and beyond are only
        gathered from.
    """

    def __init__(self, channels: int, expansion: int = 2, film: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.centre = nn.Linear(channels, channels)
        self.neighbour = nn.Linear(channels, channels, bias=False)
        self.edge = nn.Parameter(torch.randn(EDGE_FEATURES, channels) * 0.5)
        self.out = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, expansion * channels)
        self.reduce = nn.Linear(expansion * channels, channels)
        self.film = nn.Linear(film, 2 * channels) if film else None
        for layer in (self.reduce, self.film):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, idx: Tensor, edges: Tensor, noise: Tensor) -> Tensor:
        if self.film is None and fused(self.expand.weight.shape, x, edges, self.expand.weight):
            result: Tensor = in_arrays(edgeconv_numba.block, dict(self.named_parameters()), x, idx, edges)
            return result
        gathered_from = by_pieces(lambda *rows: self.neighbour(self._normed(*rows)), x, noise)
        n = len(idx)
        return by_pieces(lambda *rows: self._rows(gathered_from, *rows), x[:n], noise[:n], idx, edges)

    def _normed(self, x: Tensor, noise: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        if self.film is not None:
            scale, shift = self.film(noise).chunk(2, dim=1)
            y = y * (1 + scale) + shift
        return y

    def _rows(self, gathered_from: Tensor, x: Tensor, noise: Tensor, idx: Tensor, edges: Tensor) -> Tensor:
        gathered = gather_max(gathered_from, idx, edges, self.edge)
        x = x + self.out(F.silu(self.centre(self._normed(x, noise)) + gathered))
        return x + self.reduce(F.silu(self.expand(self.mlp_norm(x))))  # type: ignore[no-any-return]


def fused(widths: Sequence[int], *tensors: Tensor) -> bool:
    """Whether layers of these widths over these values and weights are left to `pcdenoise.kernels.edgeconv_numba`."""
    here = all(its.device.type == "cpu" and its.dtype == torch.float32 for its in tensors)
    return here and not torch.is_grad_enabled() and edgeconv_numba.fits(*widths)


def in_arrays(layer: Callable[..., Any], weights: Mapping[str, Tensor], *columns: Tensor) -> Any:
    """What a layer of `pcdenoise.kernels.edgeconv_numba` answers for these columns, in tensors."""
    arrays = (column.detach().contiguous().numpy() for column in columns)
    maps = edgeconv_numba.linear_maps({name: its.detach().numpy() for name, its in weights.items()})
    answer = layer(*arrays, maps)
    return tuple(map(torch.from_numpy, answer)) if isinstance(answer, tuple) else torch.from_numpy(answer)


def by_pieces(function: Callable[..., Tensor], *columns: Tensor) -> Tensor:
    """A function of rows (n, ...), in pieces whose intermediate values stay in the processor's cache.

    In one piece where that does not matter: on a GPU, and where gradients are wanted, for which they are kept.
    """
    n = len(columns[0])
    if torch.is_grad_enabled() or columns[0].is_cuda or n <= ROWS_IN_CACHE:
        return function(*columns)
    result = torch.empty(())
    for first in range(0, n, ROWS_IN_CACHE):
        rows = function(*(column[first : first + ROWS_IN_CACHE] for column in columns))
        if first == 0:
            result = rows.new_empty(n, *rows.shape[1:])
        result[first : first + ROWS_IN_CACHE] = rows
    return result
