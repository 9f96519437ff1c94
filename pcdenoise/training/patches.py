"""Noisy patches of clean surfaces: what one training step looks at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.rotations import random_rotation
from pcdenoise.patches import NoisyPatches

# Patches of one batch share a k-NN search; this far apart (they lie in the unit ball) they cannot be neighbours.
PATCH_DISTANCE = 16.0


@dataclass(frozen=True)
class PatchSampler:
    """Cuts a patch of `points` neighbours out of a cloud with fresh noise, turned at random.

    Args:
        points: points per patch.
        patches: patches per batch.
        core: share of the points, nearest to the patch's centre, that give loss.
        sigma: range of the noise, log-uniform, relative to the unit sphere.
        faint: share of the patches whose noise is drawn below that range, down to a fifth of its lower end.
        levels: noise levels, in spacings of the cloud, from which each patch takes one instead of from that range.
        estimate_error: scale of the log of the noise estimate around the truth. It has heavy tails (Student's t with 2
            degrees of freedom, at most a factor of 4), because noise varies over a scan and an estimate can be far off.
        seed: of everything drawn; batch `step` depends on `(seed, step)` alone.
    """

    points: int = 2048
    patches: int = 4
    core: float = 0.6
    sigma: tuple[float, float] = (0.004, 0.036)
    faint: float = 0.1
    levels: tuple[float, ...] | None = None
    estimate_error: float = 0.12
    seed: int = 0

    def batch(self, clouds: Sequence["CleanCloud"], step: int) -> NoisyPatches:
        """The patches of one step, on the CPU."""
        rng = np.random.default_rng([self.seed, step])
        parts = [self._patch(clouds[int(rng.integers(len(clouds)))], rng) for _ in range(self.patches)]
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
            count=self.patches,
        )

    def _patch(self, cloud: "CleanCloud", rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        sigma = self._sigma(cloud, rng)
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
            "sigma": np.full((len(chosen), 1), sigma),
            "estimate": np.full((len(chosen), 1), estimate),
            "spacing": np.full((len(chosen), 1), cloud.spacing),
            "core": np.arange(len(chosen)) < self.core * len(chosen),
        }

    def _sigma(self, cloud: "CleanCloud", rng: np.random.Generator) -> float:
        if self.levels is not None:
            return float(rng.choice(self.levels)) * cloud.spacing
        low, high = self.sigma
        if rng.random() < self.faint:
            low, high = low / 5, low
        return math.exp(rng.uniform(math.log(low), math.log(high)))


class CleanCloud:
    """A clean cloud with normals, its spacing and its search tree."""

    def __init__(self, points: NDArray[Any], normals: NDArray[Any]) -> None:
        self.points = np.asarray(points, dtype=np.float64)
        self.normals = np.asarray(normals, dtype=np.float64)
        self.spacing = spacing(self.points)
        self.tree = cKDTree(self.points)
