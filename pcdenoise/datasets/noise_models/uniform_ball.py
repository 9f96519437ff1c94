"""Noise without tails: uniform in a ball."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import Displacement, Sample, check_level


@dataclass(frozen=True)
class UniformBall(Displacement):
    """Displacements spread evenly over a ball of radius `s`; their covariance is `s^2 / 5 I`.

    Source: Luo and Hu, "Score-Based Point Cloud Denoising" (ICCV 2021), supplement.

    Attributes:
        level: s, relative to the unit sphere; at least 0.

    Raises:
        UsageError: the level is negative or not finite.
    """

    level: float

    def __post_init__(self) -> None:
        check_level(self.level)

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """A random direction times `s u^(1/3)`, `u` uniform."""
        directions = rng.standard_normal(sample.points.shape)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return self.level * np.cbrt(rng.random((len(sample.points), 1))) * directions
