"""Noise of a few fixed steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import Displacement, Sample, check_level
from pcdenoise.errors import UsageError

STEPS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [0, 0, 0]], dtype=np.float64)


@dataclass(frozen=True)
class Discrete(Displacement):
    """A step of length `s` along +x, -x, +y, -y, +z or -z, each with probability `p`; none with `1 - 6 p`.

    The covariance is `2 p s^2 I`. Source: Luo and Hu, "Score-Based Point Cloud Denoising" (ICCV 2021), supplement, with
    p = 0.1.

    Attributes:
        level: s, relative to the unit sphere; at least 0.
        probability: p, from 0 to 1/6.

    Raises:
        UsageError: a value out of its range.
    """

    level: float
    probability: float = 0.1

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 0 <= self.probability <= 1 / 6:
            raise UsageError(f"each of six steps has probability {self.probability}; give a number from 0 to 1/6")

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """One step, or none, per point."""
        shares = np.full(len(STEPS), self.probability)
        shares[-1] = max(1 - 6 * self.probability, 0.0)
        return self.level * STEPS[rng.choice(len(STEPS), len(sample.points), p=shares / shares.sum())]
