"""The whole-cloud EdgeConv denoiser: a chain of stages, each a score model of its own."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.subsets import subsets_apart
from pcdenoise.kernels import edgeconv_numba
from pcdenoise.kernels.neighbourhood import NeighbourGraph
from pcdenoise.networks.edgeconv import by_pieces, fused, in_arrays
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.networks.stage_plan import StagePlan
from pcdenoise.patches import NoisyPatches
from pcdenoise.relaxation import RELAXATION, relax_tangentially
from pcdenoise.score import ScoreField


class DenoisingStage(nn.Module):
    """EdgeConv features `F_T` of a noisy cloud and a per-point head that moves each point.

        move_i = s_i ( sum_k A_k,i m_k,i + (sigma / s_i) b_i ),   (A, b) = head(F_T)

    `m_k` is the mean offset of the points of neighbourhood k, `s` the local spacing. Without conditioning the factor
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
        self.head = nn.Linear(channels, 9 * features.scales + 3)
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
        return self.answer(x, relative, graph)

    def answer(self, x: Tensor, relative: Tensor, graph: NeighbourGraph) -> tuple[Tensor, Tensor]:
        """The same from the features x (m, C) and the noise in local spacings (n, 1)."""
        last = graph.sizes[-1]
        own = torch.ones_like(relative) if self.features.conditioning == "none" else relative
        columns = (x, own[:last], graph.moments[:last], graph.spacing[:last])
        if fused((self.features.channels, self.hand_on.out_features), *columns, self.head.weight):
            weights = {name: its for name, its in self.named_parameters() if not name.startswith("features")}
            move, handed_on = in_arrays(edgeconv_numba.answers, weights, *columns)
            return move, handed_on
        return by_pieces(self._move, *columns), by_pieces(self.hand_on, x)

    def _move(self, x: Tensor, own: Tensor, moments: Tensor, spacing: Tensor) -> Tensor:
        """Displacement in the unit of the points."""
        head = self.head(F.silu(self.hidden(x)))
        matrices = head[:, 3:].view(len(x), self.features.scales, 3, 3)
        move: Tensor = (torch.einsum("nkij,nkj->ni", matrices, moments[:, :, :3]) + own * head[:, :3]) * spacing
        return move


class StagedDenoiser(ScoreNetwork, StagePlan):
    """Stages applied one after another, each to the cloud the one before has moved, on a graph built anew.

    Stage `p` is trained on what stage `p - 1` leaves, so any number of leading stages is a denoiser: stages are passes.

    Noise of several spacings needs neighbourhoods of many points. With `subset_sigma` the first stage looks at

        m = (sigma / (s f))^2,   f = subset_sigma,   s the cloud's spacing,

    interleaved subsets of the cloud, each on its own: `sqrt(m)` times as sparse, they reach as much further, and their
    noise is about `f` of their spacings. What is left is no longer correlated from one subset to the other, and the
    next stage, which sees all points, averages it out. Training rounds m; in use the two whole numbers next to it are
    mixed, because the result hangs on m more than an estimate of sigma can be trusted.

    With `polish` the last stages see what those before have made, spread evenly along the surface, and are told that
    share of the noise. Spreading leaves the surface where it is curved, and evenness shows what noise is left. What
    strong noise leaves are waves longer than a neighbourhood: with `polish_subsets` the first stage that polishes looks
    at `polish_subsets m` subsets, rounded, of at least `FULL_SUBSET` points of the cloud, a further last one at all
    of them, and those between at numbers that fall by the same factor each time.

    With `noisy_moments` all stages but the first also see where the points around were before any of them moved: what
    has been moved tells which belong together, and the noisy positions where those are to be.

    A cloud of few points has details and walls of few spacings, which sparse subsets lose: where the first stage's
    would have less than `FULL_SUBSET` points, it looks at half as many.

    Args:
        channels, neighbours, neighbourhoods, conditioning, hops: see `EdgeConvFeatures`.
        blocks: EdgeConv blocks of each stage.
        handed_on: width of the features that travel with each point from stage to stage.
        subset_sigma: see above; None for the whole cloud.
        polish: see above, for each of the last stages or for all of them; None for last stages like the others.
        polishes: how many stages polish, one after another.
        polish_subsets: see above; 0 for the whole cloud.
        noisy_moments: see above.

    Raises:
        UsageError: a value outside its range.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: tuple[int, ...] = (4, 4, 4),
        neighbours: int = 32,
        neighbourhoods: tuple[int, ...] = (4, 8, 16, 32),
        handed_on: int = 16,
        conditioning: str = "input",
        subset_sigma: float | None = None,
        hops: int = 0,
        polish: float | Sequence[float] | None = None,
        polishes: int = 1,
        polish_subsets: float = 0.0,
        noisy_moments: bool = False,
    ) -> None:
        super().__init__()
        StagePlan.__init__(self, len(blocks), subset_sigma, polish, polishes, polish_subsets)
        self.stages = nn.ModuleList(
            DenoisingStage(
                EdgeConvFeatures(
                    channels,
                    count,
                    neighbours,
                    tuple(neighbourhoods),
                    conditioning,
                    received=handed_on if p else 0,
                    hops=hops,
                    noisy=noisy_moments and p > 0,
                ),
                handed_on,
            )
            for p, count in enumerate(blocks)
        )
        self.offers = frozenset({"slope"} if conditioning == "none" else {"slope", "levels"})

    def fields(self, patches: NoisyPatches) -> Iterator[tuple[Tensor, ScoreField]]:
        """See `ScoreNetwork`; no gradient runs from stage to stage."""
        x, received = patches.noisy, None
        wanted = [1.0] * patches.count if self.subset_sigma is None else self._wanted(patches)
        most = len(x) // patches.count // self.SMALLEST_SUBSET
        for p, (stage, share, limit) in enumerate(zip(self.stages, self.shares, self.limits, strict=True)):
            assert isinstance(stage, DenoisingStage)
            if limit:
                x = _spread(x, limit * patches.estimate)
            asked = (self.stage_subsets(p, *its) for its in zip(wanted, patches.clouds, strict=True))
            counts = [max(1, min(round(count), most)) for count in asked]
            shifts = _shifts(x, counts) if max(counts) > 1 else 0.0
            field = StageField(stage, patches.noisy, received, shifts, share)
            yield x, field
            if not bool(torch.isfinite(field.move).all()):
                return  # no neighbours can be found for the next stage
            x = x + field.move.detach()
            if p < self.leading:
                received = field.handed_on

    def _wanted(self, patches: NoisyPatches) -> list[float]:
        parts = patches.noisy.chunk(patches.count), patches.rough_estimate.chunk(patches.count), patches.clouds
        return [
            self.subsets(float(estimate[0]) / spacing(noisy.detach().cpu().numpy()), points)
            for noisy, estimate, points in zip(*parts, strict=True)
        ]


def _shifts(x: Tensor, counts: list[int]) -> Tensor:
    """Shifts (n, 3) that part the subsets of each patch."""
    parts = zip(x.detach().cpu().numpy().reshape(len(counts), -1, 3), counts, strict=True)
    return torch.from_numpy(np.concatenate([subsets_apart(points, count) for points, count in parts])).to(x)


def _spread(x: Tensor, sigma: Tensor) -> Tensor:
    limit = RELAXATION * sigma[:, 0].double()
    return torch.from_numpy(relax_tangentially(x.detach().cpu().numpy(), limit.cpu().numpy())).to(x)


class StageField:
    """The score field of one stage: a network that looks at the cloud it is asked about.

    Args:
        stage: the network.
        noisy: (n, 3) where the points were before the first stage.
        received: features from the stage before.
        shifts: (n, 3) part subsets of the points that are to be looked at each on its own; 0 for none.
        share: of the noise that the stage is told.

    Attributes:
        move, handed_on: the last answer, see `DenoisingStage`.
    """

    move: Tensor
    handed_on: Tensor

    def __init__(
        self,
        stage: DenoisingStage,
        noisy: Tensor,
        received: Tensor | None = None,
        shifts: Tensor | float = 0.0,
        share: float = 1.0,
    ) -> None:
        self._stage, self._noisy, self._received = stage, noisy, received
        self._shifts, self._share = shifts, share

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        # A frozen stage needs no gradients in training either, and without them its layers are fused.
        given = (x,) if self._received is None else (x, self._received)
        wanted = any(its.requires_grad for its in (*given, *self._stage.parameters()))
        with torch.set_grad_enabled(wanted and torch.is_grad_enabled()):
            graph = graph_at(x + self._shifts, self._stage.features, self._noisy + self._shifts)
            self.move, self.handed_on = self._stage(graph, self._share * sigma, self._received)
        return self.move / sigma**2
