"""EdgeConv in its linear-first form."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.kernels.gather_max import EDGE_FEATURES, gather_max

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
        pairs = zip(in_cache(x), in_cache(noise), strict=True)
        gathered_from = joined([self.neighbour(self._normed(*rows)) for rows in pairs])
        columns = (x[: len(idx)], noise[: len(idx)], idx, edges)
        parts = zip(*map(in_cache, columns), strict=True)
        return joined([self._rows(gathered_from, *rows) for rows in parts])

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


def in_cache(x: Tensor) -> tuple[Tensor, ...]:
    """Rows in pieces whose intermediate values stay in the processor's cache; in one piece where it does not matter."""
    return (x,) if torch.is_grad_enabled() or x.is_cuda else torch.split(x, ROWS_IN_CACHE)


def joined(pieces: list[Tensor]) -> Tensor:
    """What `in_cache` took apart."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)
