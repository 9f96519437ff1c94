"""Noisy patches of surfaces: what one training step looks at."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.datasets.noise_models import AnisotropicGaussian, Discrete, Displacement, Gaussian, Laplace, UniformBall
from pcdenoise.datasets.noise_models.model import Sample
from pcdenoise.datasets.pairs import Pair
from pcdenoise.errors import InputError, UsageError
from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.rotations import random_rotation
from pcdenoise.patches import NoisyPatches

# Patches of one batch share a k-NN search; this far apart (they lie in the unit ball) they cannot be neighbours.
PATCH_DISTANCE = 16.0
# So many times as many clean points as a patch has lie around it, for the noise brings some in from beyond its rim.
REACH = 1.5


# Noise that is not Gaussian, or not isotropic, by its standard deviation per coordinate.
OTHER_NOISE: tuple[Callable[[float], Displacement], ...] = (
    lambda sigma: Laplace(sigma / math.sqrt(2)),
    lambda sigma: UniformBall(sigma * math.sqrt(5)),
    lambda sigma: Discrete(sigma / math.sqrt(2 * Discrete.probability)),
    AnisotropicGaussian,
)


@dataclass(frozen=True)
class PatchSampler:
    """Cuts a patch of `points` neighbours out of a noisy cloud, turned at random.

    Args:
        points: points per patch; those of the smallest cloud where it has fewer.
        patches: patches per batch.
        core: share of the points, nearest to the patch's centre, that give loss; all of a whole cloud: it has no rim.
        sigma: range of the noise, log-uniform, relative to the unit sphere.
        faint: share of the patches whose noise is drawn below that range, down to a fifth of its lower end.
        others: share of the patches whose noise is Laplace, uniform in a ball, discrete or anisotropic, drawn alike.
        levels: noise levels, in spacings of the cloud, from which each patch takes one instead of from that range.
        estimate_error: scale of the log of the noise estimate around the truth. It has heavy tails (Student's t with 2
            degrees of freedom, at most a factor of 4), because noise varies over a scan and an estimate can be far off.
        rough_error: scale of the log of the rough estimate around the truth, alike; None makes it the estimate itself.
        seed: of everything drawn; patch `number` of step `step` depends on `(seed, step, number)` alone.

    Raises:
        UsageError: a value outside its range.
    """

    points: int = 2048
    patches: int = 4
    core: float = 0.6
    sigma: tuple[float, float] = (0.004, 0.036)
    faint: float = 0.1
    others: float = 0.0
    levels: tuple[float, ...] | None = None
    estimate_error: float = 0.12
    rough_error: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("points", "patches"):
            if getattr(self, name) < 1:
                raise UsageError(f"patches.{name} is {getattr(self, name)}; give at least 1")
        if not 0 < self.core <= 1 or not 0 <= self.faint <= 1 or not 0 <= self.others <= 1:
            raise UsageError(
                f"patches.core={self.core} patches.faint={self.faint} patches.others={self.others}; "
                "give shares up to 1, a core above 0"
            )
        if len(self.sigma) != 2 or not 0 < self.sigma[0] <= self.sigma[1]:
            raise UsageError(f"patches.sigma is {list(self.sigma)}; give [lowest,highest], both above 0")

    def batch(self, clouds: Sequence["CleanCloud"], step: int, numbers: range | None = None) -> NoisyPatches:
        """The patches of one step, on the CPU.

        Args:
            clouds: what to cut them out of, each as likely as any other.
            step: of the training.
            numbers: which patches of the step; None for the first `patches`. A part of a batch has the same patches as
                the whole.
        """
        points = min(self.points, *(cloud.count for cloud in clouds))
        numbers = range(self.patches) if numbers is None else numbers
        parts = [self._patch(clouds, points, self._generator(step, number)) for number in numbers]
        shift = np.array([PATCH_DISTANCE, 0.0, 0.0])
        noisy, clean, surface = (
            np.concatenate([part[name] + i * shift for i, part in enumerate(parts)])
            for name in ("noisy", "clean", "surface")
        )
        sigma, estimate, rough_estimate, spacing, normals = (
            torch.from_numpy(np.concatenate([part[name] for part in parts]).astype(np.float32))
            for name in ("sigma", "estimate", "rough_estimate", "spacing", "normals")
        )
        return NoisyPatches(
            noisy=torch.from_numpy(noisy),
            clean=torch.from_numpy(clean),
            sigma=sigma,
            estimate=estimate,
            rough_estimate=rough_estimate,
            spacing=spacing,
            core=torch.from_numpy(np.flatnonzero(np.concatenate([part["core"] for part in parts]))),
            surface=torch.from_numpy(surface),
            normals=normals,
            tree=cKDTree(surface),
            clouds=tuple(part["points"] for part in parts),
        )

    def describe(self, clouds: Sequence["CleanCloud"], step: int, number: int) -> str:
        """What a patch of a step was cut out of, for messages."""
        cloud, sigma, row = self._choose(clouds, self._generator(step, number))
        return f"{cloud.name} around row {row} with sigma {sigma:.4g}"

    def _generator(self, step: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, step, number])

    def _choose(self, clouds: Sequence["CleanCloud"], rng: np.random.Generator) -> tuple["CleanCloud", float, int]:
        """Cloud, noise and row of the centre."""
        cloud = clouds[int(rng.integers(len(clouds)))]
        sigma = cloud.sigma or self._sigma(cloud, rng)
        return cloud, sigma, int(rng.integers(cloud.count))

    def _patch(self, clouds: Sequence["CleanCloud"], points: int, rng: np.random.Generator) -> dict[str, Any]:
        cloud, sigma, row = self._choose(clouds, rng)
        noise: Displacement = Gaussian(sigma)
        # no draw where there is none to be had
        if self.others and rng.random() < self.others:
            noise = OTHER_NOISE[int(rng.integers(len(OTHER_NOISE)))](sigma)
        cut = cloud.cut(row, points, noise, rng)
        turn = random_rotation(rng)
        estimate = _misjudged(sigma, self.estimate_error, rng)
        rough = estimate if self.rough_error is None else _misjudged(sigma, self.rough_error, rng)
        return {
            "noisy": (cut.noisy - cut.centre) @ turn,
            "clean": (cut.clean - cut.centre) @ turn,
            "surface": (cloud.points[cut.surface] - cut.centre) @ turn,
            "normals": cloud.normals[cut.surface] @ turn,
            "sigma": np.full((points, 1), sigma),
            "estimate": np.full((points, 1), estimate),
            "rough_estimate": np.full((points, 1), rough),
            "spacing": np.full((points, 1), cloud.spacing),
            "points": cloud.count,
            "core": np.arange(points) < (1.0 if points == cloud.count else self.core) * points,
        }

    def _sigma(self, cloud: "CleanCloud", rng: np.random.Generator) -> float:
        if self.levels is not None:
            return float(rng.choice(self.levels)) * cloud.spacing
        low, high = self.sigma
        if rng.random() < self.faint:
            low, high = low / 5, low
        return math.exp(rng.uniform(math.log(low), math.log(high)))


def _misjudged(sigma: float, error: float, rng: np.random.Generator) -> float:
    return sigma * math.exp(np.clip(error * rng.standard_t(2), -math.log(4), math.log(4)))


@dataclass(frozen=True)
class Cut:
    """A patch, where it lies.

    Attributes:
        centre: (3,).
        noisy: (n, 3) its points, the nearest to the centre first.
        clean: (n, 3) what they come from.
        surface: rows of the clean cloud that lie there, and beyond the rim.
    """

    centre: NDArray[np.float64]
    noisy: NDArray[np.float64]
    clean: NDArray[np.float64]
    surface: NDArray[np.intp]


class CleanCloud:
    """A clean cloud with normals, its spacing and its search tree; patches of it get noise that is drawn.

    Args:
        points, normals: (n, 3).
        name: for messages.

    Attributes:
        count: rows that a patch can have its centre at.
        sigma: noise of all patches; None where it is drawn.
    """

    sigma: float | None = None

    def __init__(self, points: NDArray[Any], normals: NDArray[Any], name: str = "a cloud") -> None:
        self.points = np.asarray(points, dtype=np.float64)
        self.normals = np.asarray(normals, dtype=np.float64)
        self.spacing = spacing(self.points)
        self.tree = cKDTree(self.points)
        self.name = name
        self.count = len(self.points)

    def cut(self, row: int, points: int, noise: Displacement, rng: np.random.Generator) -> Cut:
        """The `points` neighbours of a row, with fresh noise."""
        centre = self._noisy(np.array([row]), noise, rng)[0]
        near = self._near(centre, points * REACH)
        clean, noisy = self.points[near], self._noisy(near, noise, rng)
        chosen = ((noisy - centre) ** 2).sum(axis=1).argsort()[:points]
        return Cut(centre, noisy[chosen], clean[chosen], near)

    def _noisy(self, rows: NDArray[np.intp], noise: Displacement, rng: np.random.Generator) -> NDArray[np.float64]:
        return self.points[rows] + noise.displacements(Sample(self.points[rows], rows), rng)

    def _near(self, centre: NDArray[np.float64], count: float) -> NDArray[np.intp]:
        return np.asarray(self.tree.query(centre, k=np.arange(1, 1 + min(len(self.points), math.ceil(count))))[1])


class MeasuredCloud(CleanCloud):
    """A pair of clouds as they were measured: patches have the noise that is there.

    Args:
        pair: see `Pair`. Where its rows do not say which points belong to each other, a noisy point is taken to come
            from the nearest clean one, which is right across the surface, but not along it.

    Raises:
        InputError: there is no noise.
    """

    def __init__(self, pair: Pair) -> None:
        if pair.sigma == 0:
            raise InputError(f"the noisy cloud of {pair.name} is the clean one; leave the pair out")
        super().__init__(pair.clean, pair.normals, pair.name)
        self.noisy, self.rows, self.sigma = pair.noisy, pair.rows, pair.sigma
        self.noisy_tree = cKDTree(self.noisy)
        self.count = len(self.noisy)

    def cut(self, row: int, points: int, noise: Displacement, rng: np.random.Generator) -> Cut:  # noqa: ARG002 - drawn before
        """The `points` noisy neighbours of a noisy row."""
        centre = self.noisy[row]
        chosen = self.noisy_tree.query(centre, k=np.arange(1, points + 1))[1]
        surface = self._near(centre, points * REACH * len(self.points) / len(self.noisy))
        return Cut(centre, self.noisy[chosen], self.points[self.rows[chosen]], surface)
