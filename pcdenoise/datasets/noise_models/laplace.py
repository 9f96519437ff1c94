"""Laplace noise: heavier tails than normal noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import Displacement, Sample, check_level


@dataclass(frozen=True)
class Laplace(Displacement):
    """Independent Laplace noise on each coordinate, with density `exp(-|d| / s) / (2 s)` and so variance `2 s^2`.

    Source: Luo and Hu, "Score-Based Point Cloud Denoising" (ICCV 2021), supplement, where too `s` is the scale and not
    the standard deviation.

    Attributes:
        level: s, relative to the unit sphere; at least 0.

    Raises:
        UsageError: the level is negative or not finite.
    """

    level: float

    def __post_init__(self) -> None:
        check_level(self.level)

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """One draw per coordinate."""
        return rng.laplace(0.0, self.level, sample.points.shape)
