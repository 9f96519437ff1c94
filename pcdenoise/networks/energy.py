"""A scalar energy of a cloud."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.kernels.neighbourhood import NeighbourGraph
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


class EnergyNetwork(ScoreNetwork):
    """Per-point energies from EdgeConv features, summed: `E(x) = sum_i e_i(x)`, and `score = -grad E`.

    The energy depends on offsets in local spacings alone, so it does not change when the cloud is shifted or scaled. It
    is told no noise level: one energy serves all (Li et al., "Learning Energy-Based Models in High-Dimensional Spaces
    with Multi-scale Denoising Score Matching", 2019).

    Args:
        channels, blocks, neighbours, neighbourhoods: see `EdgeConvFeatures`.
        sigma_0: the noise, in local spacings, at which `-grad E` is the score: `x - sigma_0^2 grad E` is clean.
    """

    offers = frozenset({"energy"})

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 4,
        neighbours: int = 32,
        neighbourhoods: tuple[int, ...] = (4, 8, 16, 32),
        sigma_0: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = EdgeConvFeatures(channels, blocks, neighbours, tuple(neighbourhoods), "none")
        self.hidden = nn.Linear(channels, channels)
        self.head = nn.Linear(channels, 1, bias=False)
        self.sigma_0 = sigma_0

    def forward(self, graph: NeighbourGraph) -> Tensor:
        """Energies e_i (m,) of the first `graph.sizes[-1]` rows."""
        unconditioned = torch.ones_like(graph.spacing)
        return self.head(F.silu(self.hidden(self.features(graph, unconditioned))))[:, 0]  # type: ignore[no-any-return]

    def fields(self, patches: NoisyPatches) -> Iterator[tuple[Tensor, ScoreField]]:
        """The one field of a network without stages, and where its cloud stands."""
        yield patches.noisy, EnergyField(self)


@dataclass(frozen=True)
class EnergyField:
    """`score(x, sigma) = -grad E(x)` whatever sigma, on the k-NN graph of x."""

    network: EnergyNetwork

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:  # noqa: ARG002 - one energy for all levels
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            at = x if x.requires_grad else x.detach().requires_grad_()
            energy = self.network(graph_at(at, self.network.features)).sum()
            (gradient,) = torch.autograd.grad(energy, at, create_graph=training)
        return -gradient.float()
