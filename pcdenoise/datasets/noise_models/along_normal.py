"""Noise across the surface only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import Displacement, Sample, check_level
from pcdenoise.geometry.normals import plane_normals


@dataclass(frozen=True)
class AlongNormal(Displacement):
    """Normal noise along the surface normal, `y = x + s z n`, `z ~ N(0, 1)`: no point slides along the surface.

    Where the normals are not given they are those of planes through 16 neighbours.

    Attributes:
        level: s, relative to the unit sphere; at least 0.

    Raises:
        UsageError: the level is negative or not finite.
    """

    level: float

    def __post_init__(self) -> None:
        check_level(self.level)

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """`s z n`."""
        normals = plane_normals(sample.points) if sample.normals is None else sample.normals
        return self.level * rng.standard_normal((len(sample.points), 1)) * normals
