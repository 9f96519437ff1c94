"""Coordinates that a sensor or a file rounds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import Displacement, Sample, check_level


@dataclass(frozen=True)
class Quantisation(Displacement):
    """Coordinates rounded to a grid of pitch `s` that starts anywhere: `y = s round(x / s - u) + s u`.

    With `u` uniform in the unit cube, once per cloud, each coordinate of the error is uniform in [-s/2, s/2], with
    variance `s^2 / 12`, whatever the cloud. Points that fall on the same grid point coincide; none is dropped.

    Attributes:
        level: s, relative to the unit sphere; at least 0.

    Raises:
        UsageError: the level is negative or not finite.
    """

    level: float

    def __post_init__(self) -> None:
        check_level(self.level)

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """`y - x`."""
        offset = rng.random(3)
        if self.level == 0:
            return np.zeros_like(sample.points)
        steps: NDArray[np.float64] = sample.points / self.level - offset
        return self.level * (np.rint(steps) - steps)
