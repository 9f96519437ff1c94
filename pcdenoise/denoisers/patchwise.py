"""The engine that runs a network which sees patches over a whole cloud."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.geometry.farthest_point import farthest_point_sampling
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import build_tree, knn, query_tree
from pcdenoise.networks.compat.luo_hu import LuoHu, centred
from pcdenoise.relaxation import RELAXATION, relax_tangentially
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.score import Sampler, ScoreField

# The network was trained on clouds in the unit sphere: of 10,000 points, whose spacing is about this there, and of up
# to 50,000, with a noise of 2 % at most, of which it is told four fifths here. Lengths are so scaled that a cloud is
# like the first, or finer if it is noisier. On the validation shapes the Chamfer distance is that of the cloud in the
# unit sphere (10K, 2 %: 3.58 and 3.57) or lower (50K, 1 %), and a cloud may be of any size.
SPACING, NOISE = 0.025, 0.016


@dataclass(frozen=True)
class PatchwiseDenoiser:
    """Moves every point by the local score fields around it, whose features come from patches of the cloud.

    Patches of neighbours cover the cloud. The features of each point are taken from the patch where it is most central;
    with them the fields are followed over the whole cloud at once, so that there is no seam between patches and no
    point comes twice. Lengths are brought to those of the network's training by the cloud's spacing and noise.

    Args:
        model: the network.
        device: where it runs; the searches run on the CPU.
        sampler: how the field is followed.
        ensemble: each local field acts on so many points, see `EnsembleField`.
        passes: at most so many, each on what the one before has left; the authors take one up to a noise of 2 % of the
            unit sphere and two above.
        patch: points per patch.
        overlap: patches per point, at least.
        batch: patches that the network sees at a time; memory grows with it, the result does not change.
        relaxation: see `LearnedDenoiser`. The authors' merge of overlapping patches by farthest-point sampling spreads
            points evenly too.
    """

    model: LuoHu
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    sampler: Sampler = field(default_factory=lambda: Ascent(steps=30, step=0.2, decay=0.95))
    ensemble: int = 4
    passes: int = 1
    patch: int = 1000
    overlap: float = 3.0
    batch: int = 16
    relaxation: float = RELAXATION

    @property
    def neighbours(self) -> int:
        """k of the graphs: a cloud needs more points than that."""
        return self.model.neighbours

    @property
    def polished_once(self) -> int:
        """Passes after weak noise: as many as after any."""
        return self.passes

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],
        passes: int,
        progress: Callable[[float], None] = lambda done: None,
        seed: int = 0,
        iterate: Callable[[NDArray[np.float64]], None] = lambda x: None,
    ) -> NDArray[np.float64]:
        """Denoised positions, row by row.

        Args:
            points: (n, 3) in units of the cloud's spacing, finite, distinct, n > `neighbours`.
            sigma: (n,) noise per coordinate, in the same unit, positive; it sets the scale at which the network looks.
            passes: how many, at most `self.passes`.
            progress: told the share of the work that is done.
            seed: of what the sampler draws.
            iterate: given the positions after each step of the sampler, and after the spreading.
        """
        generator, level = torch.Generator().manual_seed(seed), torch.from_numpy(sigma)[:, None]
        steps, done = passes * (self.sampler.evaluations + 1), 0
        for _ in range(passes):
            score = self._field(points, sigma)
            start = reached = torch.from_numpy(points)
            for reached in self.sampler(score, start, level, generator):
                iterate(reached.numpy())
                done += 1
                progress(min(1.0, done / steps))
            moved = reached.numpy()
            # A point whose answer is not a number keeps its place.
            points = np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, points)
        spread = relax_tangentially(points, self.relaxation * sigma)
        if spread is not points:
            iterate(spread)
        progress(1.0)
        return spread

    def field(self, noisy: Tensor, sigma: Tensor) -> ScoreField:
        """The score field of a noisy cloud, see `EnsembleField`.

        Args:
            noisy: (n, 3), any unit; the field's x and sigma are in the same one.
            sigma: (n, 1) the noise of that cloud.
        """
        points = noisy.detach().cpu().numpy().astype(np.float64)
        frame = Frame.of(points)
        level = sigma.detach().cpu().numpy().astype(np.float64) / frame.scale
        local = self._field(frame.to_local(points), level)

        def score(x: Tensor, sigma: Tensor) -> Tensor:
            at = torch.from_numpy(frame.to_local(x.detach().cpu().numpy()))
            return (local(at, sigma.detach().cpu().double() / frame.scale) / frame.scale).to(x)

        return score

    def _field(self, points: NDArray[np.float64], sigma: NDArray[np.float64]) -> "EnsembleField":
        unit = min(SPACING, NOISE / float(np.median(sigma)))
        patches = Patches.cover(points, self.patch, self.overlap)
        features = torch.empty(len(points), self.model.channels, device=self.device)
        for first in range(0, len(patches.rows), self.batch):
            rows, own = (part[first : first + self.batch] for part in (patches.rows, patches.own))
            with torch.no_grad():
                answer = self.model.features(centred(torch.from_numpy(unit * points[rows])).to(self.device))
                features[torch.from_numpy(rows[own])] = answer[torch.from_numpy(own)]
        return EnsembleField(self.model, points, features, self.ensemble, unit)


@dataclass(frozen=True)
class Patches:
    """Patches that cover a cloud.

    Attributes:
        rows: (b, m) the rows of the cloud that are in each patch.
        own: (b, m) bool, which of them are more central there than in any other patch; each row of the cloud once.
    """

    rows: NDArray[np.int32]
    own: NDArray[np.bool_]

    @classmethod
    def cover(cls, points: NDArray[np.float64], size: int, overlap: float) -> "Patches":
        """The nearest points of seeds by farthest-point sampling; a point belongs to the seed nearest to it.

        Args:
            points: (n, 3), finite, distinct.
            size: points per patch; a smaller cloud is one patch.
            overlap: patches per point, at least; more seeds are taken where points are left out.
        """
        n = len(points)
        size = min(size, n)
        tree = build_tree(points)
        # from the outermost point inwards, so that the order of the rows does not matter
        outermost = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmax())
        seeds = farthest_point_sampling(points, max(1, int(overlap * n / size)) if size < n else 1, outermost)
        while True:
            _, rows = query_tree(tree, points[seeds], size)
            _, nearest = knn(points[seeds], 1, points)
            own = nearest[rows, 0] == np.arange(len(seeds))[:, None]
            left_out = np.ones(n, dtype=bool)
            left_out[rows[own]] = False
            if not left_out.any():
                return cls(rows, own)
            far = np.flatnonzero(left_out)
            more = farthest_point_sampling(points[far], max(1, int(overlap * len(far) / size)))
            seeds = np.concatenate([seeds, far[more]])


@dataclass(frozen=True)
class EnsembleField:
    """The sum of local fields, each of which acts on the points nearest to its centre.

        sigma^2 score(x_j) = sum_{i: j among the k nearest of x to c_i} S(x_j - c_i, h_i)

    A point is among the nearest of k centres on average. The authors' code sums where their paper (Luo & Hu, ICCV 2021,
    eq. 7) takes a mean, so the step of a sampler is a k-th of what it would be for a score.

    Attributes:
        model: S.
        centres: (n, 3) the noisy points c.
        features: (n, C) of the noisy points, h.
        ensemble: k.
        unit: what the length 1 of the centres is for the model.
    """

    model: LuoHu
    centres: NDArray[np.float64]
    features: Tensor
    ensemble: int
    unit: float

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Score (n, 3) at x (n, 3), float64, for sigma (n, 1)."""
        _, nearest = knn(x.numpy(), self.ensemble, self.centres)
        offsets = torch.from_numpy((self.unit * (x.numpy()[nearest] - self.centres[:, None])).astype(np.float32))
        with torch.no_grad():
            moves = self.model(self.features, offsets.to(self.features.device)).cpu().double()
        total = torch.zeros_like(x).index_add_(0, torch.from_numpy(nearest.ravel()), moves.view(-1, 3))
        return total / (self.unit * sigma**2)
