"""How a clean cloud becomes a noisy one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.unit_sphere import bounding_sphere
from pcdenoise.errors import UsageError


@dataclass(frozen=True)
class Gaussian:
    """Independent normal noise `y = x + sigma z`, `z ~ N(0, I)`, with `sigma = level * radius`.

    The radius is the largest distance of a clean point from the midpoint of the bounding box, so that `level` is
    relative to the unit sphere, as in the benchmark protocols (0.01, 0.02, 0.03).

    Attributes:
        level: standard deviation per coordinate over the radius, at least 0.

    Raises:
        UsageError: the level is negative.
    """

    level: float

    def __post_init__(self) -> None:
        if not self.level >= 0:
            raise UsageError(f"the noise level is {self.level}; give a number of at least 0")

    def __call__(self, points: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float64]:
        """Noisy copy (n, 3) of clean points (n, 3), in their unit."""
        sigma = self.level * bounding_sphere(points)[1]
        return points + sigma * rng.standard_normal(points.shape)
