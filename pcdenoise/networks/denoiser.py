"""The whole-cloud EdgeConv denoiser: a chain of stages, each a score model of its own."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.kernels.neighbourhood import NeighbourGraph
from pcdenoise.networks.edgeconv import in_cache
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


class DenoisingStage(nn.Module):
    """EdgeConv features `F_T` of a noisy cloud and a per-point head that moves each point.

        move_i = s_i ( sum_k A_k,i m_k,i + (sigma / s_i) b_i ),   (A, b) = head(F_T)

    `m_k` is the mean offset of the k nearest neighbours, `s` the local spacing. Without conditioning the factor
    `sigma / s_i` is 1.

    Args:
        features: the extractor of `F_T`.
        handed_on: width of the features handed to the next stage.
    """

    def __init__(self, features: EdgeConvFeatures, handed_on: int) -> None:
        super().__init__()
        self.features = features
        channels = features.channels
        self.hidden = nn.Linear(channels, channels)
        self.head = nn.Linear(channels, 9 * len(features.neighbourhoods) + 3)
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
        relative = sigma / graph.spacing
        x = self.features(graph, relative, received)
        last = graph.sizes[-1]
        columns = (x, relative[:last], graph.moments[:last], graph.spacing[:last])
        parts = [self._output(*rows) for rows in zip(*map(in_cache, columns), strict=True)]
        return torch.cat([move for move, _ in parts]), torch.cat([features for _, features in parts])

    def _output(self, x: Tensor, relative: Tensor, moments: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor]:
        """Displacement in the unit of the points, and features to hand on."""
        head = self.head(F.silu(self.hidden(x)))
        matrices = head[:, 3:].view(len(x), len(self.features.neighbourhoods), 3, 3)
        own = head[:, :3] if self.features.conditioning == "none" else relative * head[:, :3]
        return (torch.einsum("nkij,nkj->ni", matrices, moments[:, :, :3]) + own) * spacing, self.hand_on(x)


class StagedDenoiser(ScoreNetwork):
    """Stages applied one after another, each to the cloud the one before has moved, on a graph built anew.

    Stage `p` is trained on what stage `p - 1` leaves, so any number of leading stages is a denoiser: stages are passes.

    Args:
        channels, neighbours, neighbourhoods, conditioning: see `EdgeConvFeatures`.
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
        conditioning: str = "input",
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            DenoisingStage(
                EdgeConvFeatures(
                    channels, count, neighbours, tuple(neighbourhoods), conditioning, received=handed_on if p else 0
                ),
                handed_on,
            )
            for p, count in enumerate(blocks)
        )
        self.offers = frozenset({"slope"} if conditioning == "none" else {"slope", "levels"})

    def fields(self, patches: NoisyPatches) -> Iterator[tuple[Tensor, ScoreField]]:
        """See `ScoreNetwork`; no gradient runs from stage to stage."""
        x, received = patches.noisy, None
        for stage in self.stages:
            assert isinstance(stage, DenoisingStage)
            field = StageField(stage, received)
            yield x, field
            if not bool(torch.isfinite(field.move).all()):
                return  # no neighbours can be found for the next stage
            x, received = x + field.move.detach(), field.handed_on


class StageField:
    """The score field of one stage: a network that looks at the cloud it is asked about.

    Attributes:
        move, handed_on: the last answer, see `DenoisingStage`.
    """

    move: Tensor
    handed_on: Tensor

    def __init__(self, stage: DenoisingStage, received: Tensor | None = None) -> None:
        self._stage, self._received = stage, received

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.move, self.handed_on = self._stage(graph_at(x, self._stage.features), sigma, self._received)
        return self.move / sigma**2
