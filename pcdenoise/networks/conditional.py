"""Scores of single points, given the EdgeConv features of the noisy cloud around them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.networks.embedding import sigma_embedding
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import LocalScoreField


class ConditionalScore(ScoreNetwork):
    """`F_T = EdgeFeatures(x^T)` once from the noisy cloud, then a residual network for any point near row i.

        move(r, sigma) = sigma g(r / s_i, sigma / s_i | F_T,i),   r = x - x_i^T

    `s` is the local spacing. The head is the conditional residual score network of Luo & Hu ("Score-Based Point Cloud
    Denoising", ICCV 2021) with the noise level as a further condition. Without conditioning on the level the factor
    sigma is s.

    Args:
        channels, blocks, neighbours, neighbourhoods: see `EdgeConvFeatures`; the features are told the noise of x^T
            where the head is.
        hidden: width of the head.
        residual: residual blocks of the head.
        conditioned: whether the network is told the noise level.
        embedding: width of the embedding of the noise level.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 4,
        neighbours: int = 32,
        neighbourhoods: tuple[int, ...] = (4, 8, 16, 32),
        hidden: int = 96,
        residual: int = 3,
        conditioned: bool = True,
        embedding: int = 16,
    ) -> None:
        super().__init__()
        conditioning = "input" if conditioned else "none"
        self.features = EdgeConvFeatures(channels, blocks, neighbours, tuple(neighbourhoods), conditioning)
        self.conditioned, self.embedding = conditioned, embedding
        condition = channels + (embedding if conditioned else 0)
        self.enter = nn.Linear(3, hidden)
        self.blocks = nn.ModuleList(ConditionalBlock(hidden, condition) for _ in range(residual))
        self.norm = nn.LayerNorm(hidden)
        self.leave = nn.Linear(hidden, 3)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.offers = frozenset({"slope", "local", "levels"} if conditioned else {"slope", "local"})

    def forward(self, features: Tensor, spacing: Tensor, offsets: Tensor, sigma: Tensor) -> Tensor:
        """Displacement (q, m, 3) of the points at offsets from their row.

        Args:
            features: (q, C), `F_T` of the rows.
            spacing: (q, 1) of the rows.
            offsets: (q, m, 3) from the rows' points of the noisy cloud, in the unit of spacing.
            sigma: (q, 1) noise of the points at the offsets, in that unit.
        """
        relative = sigma / spacing
        condition = features
        if self.conditioned:
            condition = torch.cat([features, sigma_embedding(relative, self.embedding)], dim=1)
        x = self.enter(offsets / spacing[:, None])
        for block in self.blocks:
            x = block(x, condition)
        unit = sigma if self.conditioned else spacing
        return self.leave(F.silu(self.norm(x))) * unit[:, None]  # type: ignore[no-any-return]

    def fields(self, patches: NoisyPatches) -> Iterator[tuple[Tensor, LocalScoreField]]:
        """The one field of a network without stages, and where its cloud stands."""
        graph = graph_at(patches.noisy, self.features)
        features = self.features(graph, patches.estimate / graph.spacing)
        yield patches.noisy, ConditionalField(self, patches.noisy, features, graph.spacing)


class ConditionalBlock(nn.Module):
    """`x <- x + B silu(A silu(norm(x)) + C c)`, c the condition of the row.

    Shapes:
        x (q, m, H), c (q, C) -> (q, m, H).
    """

    def __init__(self, hidden: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.first = nn.Linear(hidden, hidden)
        self.condition = nn.Linear(condition, hidden, bias=False)
        self.second = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.first(F.silu(self.norm(x))) + self.condition(condition)[:, None]
        return x + self.second(F.silu(y))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ConditionalField:
    """The score field of a `ConditionalScore`, with the features of the noisy cloud.

    Attributes:
        network: the head.
        noisy: (n, 3) the cloud x^T, float64.
        features: (n, C) its `F_T`.
        spacing: (n, 1) its local spacing.
    """

    network: ConditionalScore
    noisy: Tensor
    features: Tensor
    spacing: Tensor

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        offsets = (x - self.noisy).float()[:, None]
        return self.network(self.features, self.spacing, offsets, sigma)[:, 0] / sigma**2  # type: ignore[no-any-return]

    def at(self, rows: Tensor, offsets: Tensor, sigma: Tensor) -> Tensor:
        """See `LocalScoreField`."""
        return self.network(self.features[rows], self.spacing[rows], offsets, sigma) / sigma[:, None] ** 2  # type: ignore[no-any-return]
