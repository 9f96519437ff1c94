"""Noisy patches of clean surfaces: what one training step looks at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.errors import UsageError
from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.rotations import random_rotation
from pcdenoise.patches import NoisyPatches

# Patches of one batch share a k-NN search; this far apart (they lie in the unit ball) they cannot be neighbours.
PATCH_DISTANCE = 16.0


@dataclass(frozen=True)
class PatchSampler:
    """Cuts a patch of `points` neighbours out of a cloud with fresh noise, turned at random.

    Args:
        points: points per patch; those of the smallest cloud where it has fewer.
        patches: patches per batch.
        core: share of the points, nearest to the patch's centre, that give loss.
        sigma: range of the noise, log-uniform, relative to the unit sphere.
        faint: share of the patches whose noise is drawn below that range, down to a fifth of its lower end.
        levels: noise levels, in spacings of the cloud, from which each patch takes one instead of from that range.
        estimate_error: scale of the log of the noise estimate around the truth. It has heavy tails (Student's t with 2
            degrees of freedom, at most a factor of 4), because noise varies over a scan and an estimate can be far off.
        seed: of everything drawn; patch `number` of step `step` depends on `(seed, step, number)` alone.

    Raises:
        UsageError: a value outside its range.
    """

    points: int = 2048
    patches: int = 4
    core: float = 0.6
    sigma: tuple[float, float] = (0.004, 0.036)
    faint: float = 0.1
    levels: tuple[float, ...] | None = None
    estimate_error: float = 0.12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("points", "patches"):
            if getattr(self, name) < 1:
                raise UsageError(f"patches.{name} is {getattr(self, name)}; give at least 1")
        if not 0 < self.core <= 1 or not 0 <= self.faint <= 1:
            raise UsageError(
                f"patches.core={self.core} patches.faint={self.faint}; give shares up to 1, a core above 0"
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
        points = min(self.points, *(len(cloud.points) for cloud in clouds))
        numbers = range(self.patches) if numbers is None else numbers
        parts = [self._patch(clouds, points, self._generator(step, number)) for number in numbers]
        shift = np.array([PATCH_DISTANCE, 0.0, 0.0])
        noisy, clean, surface = (
            np.concatenate([part[name] + i * shift for i, part in enumerate(parts)])
            for name in ("noisy", "clean", "surface")
        )
        sigma, estimate, spacing, normals = (
            torch.from_numpy(np.concatenate([part[name] for part in parts]).astype(np.float32))
            for name in ("sigma", "estimate", "spacing", "normals")
        )
        return NoisyPatches(
            noisy=torch.from_numpy(noisy),
            clean=torch.from_numpy(clean),
            sigma=sigma,
            estimate=estimate,
            spacing=spacing,
            core=torch.from_numpy(np.flatnonzero(np.concatenate([part["core"] for part in parts]))),
            surface=torch.from_numpy(surface),
            normals=normals,
            tree=cKDTree(surface),
            count=len(parts),
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
        return cloud, self._sigma(cloud, rng), int(rng.integers(len(cloud.points)))

    def _patch(self, clouds: Sequence["CleanCloud"], points: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        cloud, sigma, row = self._choose(clouds, rng)
        centre = cloud.points[row] + sigma * rng.standard_normal(3)
        near = cloud.tree.query(centre, k=min(len(cloud.points), points * 3 // 2))[1]
        clean, normals = cloud.points[near], cloud.normals[near]
        noisy = clean + sigma * rng.standard_normal(clean.shape)
        squared = ((noisy - centre) ** 2).sum(axis=1)
        chosen = np.argsort(squared)[:points]
        turn = random_rotation(rng)
        estimate = sigma * math.exp(np.clip(self.estimate_error * rng.standard_t(2), -math.log(4), math.log(4)))
        return {
            "noisy": (noisy[chosen] - centre) @ turn,
            "clean": (clean[chosen] - centre) @ turn,
            "surface": (clean - centre) @ turn,
            "normals": normals @ turn,
            "sigma": np.full((points, 1), sigma),
            "estimate": np.full((points, 1), estimate),
            "spacing": np.full((points, 1), cloud.spacing),
            "core": np.arange(points) < self.core * points,
        }

    def _sigma(self, cloud: "CleanCloud", rng: np.random.Generator) -> float:
        if self.levels is not None:
            return float(rng.choice(self.levels)) * cloud.spacing
        low, high = self.sigma
        if rng.random() < self.faint:
            low, high = low / 5, low
        return math.exp(rng.uniform(math.log(low), math.log(high)))


class CleanCloud:
    """A clean cloud with normals, its spacing and its search tree.

    Args:
        points, normals: (n, 3).
        name: for messages.
    """

    def __init__(self, points: NDArray[Any], normals: NDArray[Any], name: str = "a cloud") -> None:
        self.points = np.asarray(points, dtype=np.float64)
        self.normals = np.asarray(normals, dtype=np.float64)
        self.spacing = spacing(self.points)
        self.tree = cKDTree(self.points)
        self.name = name
