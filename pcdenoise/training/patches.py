"""Noisy patches of clean surfaces: what one training step looks at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.geometry.rotations import random_rotation

# Patches of one batch share a k-NN search; this far apart (they lie in the unit ball) they cannot be neighbours.
PATCH_DISTANCE = 16.0


@dataclass(frozen=True)
class PatchBatch:
    """Patches laid side by side in one array of n points.

    Attributes:
        noisy: (n, 3) float64 positions.
        clean: (n, 3) float64, the clean point that each noisy point came from.
        sigma: (n, 1) float32, true noise per coordinate.
        estimate: (n, 1) float32, what a blind estimator would say.
        core: (n,) true for the inner points of each patch; the rim lacks neighbours and gives no loss.
        surface: (m, 3) float64 clean points of all patches and beyond their rims.
        normals: (m, 3) float64 of `surface`.
    """

    noisy: NDArray[np.float64]
    clean: NDArray[np.float64]
    sigma: NDArray[np.float32]
    estimate: NDArray[np.float32]
    core: NDArray[np.bool_]
    surface: NDArray[np.float64]
    normals: NDArray[np.float64]


@dataclass(frozen=True)
class PatchSampler:
    """Cuts a patch of `points` neighbours out of a cloud with fresh noise, turned at random.

    Args:
        points: points per patch.
        patches: patches per batch.
        core: share of the points, nearest to the patch's centre, that give loss.
        sigma: range of the noise, log-uniform, relative to the unit sphere.
        faint: share of the patches whose noise is drawn below that range, down to a fifth of its lower end.
        estimate_error: scale of the log of the noise estimate around the truth. It has heavy tails (Student's t with 2
            degrees of freedom, at most a factor of 4), because noise varies over a scan and an estimate can be far off.
        seed: of everything drawn; batch `step` depends on `(seed, step)` alone.
    """

    points: int = 2048
    patches: int = 4
    core: float = 0.6
    sigma: tuple[float, float] = (0.004, 0.036)
    faint: float = 0.1
    estimate_error: float = 0.12
    seed: int = 0

    def batch(self, clouds: Sequence["CleanCloud"], step: int) -> PatchBatch:
        """The batch of one step."""
        rng = np.random.default_rng([self.seed, step])
        parts = [self._patch(clouds[int(rng.integers(len(clouds)))], rng) for _ in range(self.patches)]
        shift = np.array([PATCH_DISTANCE, 0.0, 0.0])
        moved = {
            name: np.concatenate([part[name] + i * shift for i, part in enumerate(parts)])
            for name in ("noisy", "clean", "surface")
        }
        rest = {
            name: np.concatenate([part[name] for part in parts]) for name in ("sigma", "estimate", "core", "normals")
        }
        return PatchBatch(**moved, **rest)

    def _patch(self, cloud: "CleanCloud", rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        low, high = self.sigma
        if rng.random() < self.faint:
            low, high = low / 5, low
        sigma = math.exp(rng.uniform(math.log(low), math.log(high)))
        wanted = min(len(cloud.points), self.points * 3 // 2)
        centre = cloud.points[rng.integers(len(cloud.points))] + sigma * rng.standard_normal(3)
        near = cloud.tree.query(centre, k=wanted)[1]
        clean, normals = cloud.points[near], cloud.normals[near]
        noisy = clean + sigma * rng.standard_normal(clean.shape)
        squared = ((noisy - centre) ** 2).sum(axis=1)
        chosen = np.argsort(squared)[: self.points]
        turn = random_rotation(rng)
        estimate = sigma * math.exp(np.clip(self.estimate_error * rng.standard_t(2), -math.log(4), math.log(4)))
        return {
            "noisy": (noisy[chosen] - centre) @ turn,
            "clean": (clean[chosen] - centre) @ turn,
            "surface": (clean - centre) @ turn,
            "normals": normals @ turn,
            "sigma": np.full((len(chosen), 1), sigma, np.float32),
            "estimate": np.full((len(chosen), 1), estimate, np.float32),
            "core": np.arange(len(chosen)) < self.core * len(chosen),
        }


class CleanCloud:
    """A clean cloud with normals and its search tree."""

    def __init__(self, points: NDArray[Any], normals: NDArray[Any]) -> None:
        self.points = np.asarray(points, dtype=np.float64)
        self.normals = np.asarray(normals, dtype=np.float64)
        self.tree = cKDTree(self.points)
