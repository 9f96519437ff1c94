"""Normal noise, of the same strength in all directions or not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import Displacement, Sample, check_level

COVARIANCE = np.array([[1.0, -1 / 2, -1 / 4], [-1 / 2, 1.0, -1 / 4], [-1 / 4, -1 / 4, 1.0]])


@dataclass(frozen=True)
class Gaussian(Displacement):
    """Independent normal noise `y = x + s z`, `z ~ N(0, I)`.

    Attributes:
        level: s, the standard deviation per coordinate, relative to the unit sphere; at least 0.

    Raises:
        UsageError: the level is negative or not finite.
    """

    level: float

    def __post_init__(self) -> None:
        check_level(self.level)

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """`s z`."""
        return self.level * rng.standard_normal(sample.points.shape)


@dataclass(frozen=True)
class AnisotropicGaussian(Displacement):
    """Normal noise whose coordinates are correlated, `y = x + N(0, s^2 C)`, with

        C = [[1, -1/2, -1/4], [-1/2, 1, -1/4], [-1/4, -1/4, 1]].

    Source: Luo and Hu, "Score-Based Point Cloud Denoising" (ICCV 2021), supplement.

    Attributes:
        level: s, the standard deviation per coordinate, relative to the unit sphere; at least 0.

    Raises:
        UsageError: the level is negative or not finite.
    """

    level: float

    def __post_init__(self) -> None:
        check_level(self.level)

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """`s L z` with the Cholesky factor `L L^T = C`."""
        return self.level * rng.standard_normal(sample.points.shape) @ np.linalg.cholesky(COVARIANCE).T
