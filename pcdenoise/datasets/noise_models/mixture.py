"""Several noise models at once, or one after the other."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import Displacement, NoiseModel, Sample
from pcdenoise.errors import UsageError


@dataclass(frozen=True)
class Mixture(Displacement):
    """Each point takes its displacement from one of several models: `p(d) = sum_j w_j p_j(d)`.

    The covariance is `sum_j w_j C_j` where the parts have mean zero. Some Gaussian noise among weaker Gaussian noise is
    the contaminated normal distribution.

    Attributes:
        parts: the models.
        shares: w_j, one for each part, that add up to 1.

    Raises:
        UsageError: a part that adds or drops points, or shares that do not fit.
    """

    parts: tuple[Displacement, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(isinstance(part, Displacement) for part in self.parts):
            raise UsageError("a mixture takes models that only move points; join others by a composition")
        if len(self.shares) != len(self.parts) or not all(share >= 0 for share in self.shares):
            raise UsageError(f"{len(self.parts)} parts have shares {self.shares}; give one of at least 0 for each")
        if not math.isclose(sum(self.shares), 1, abs_tol=1e-9):
            raise UsageError(f"the shares add up to {sum(self.shares):g}; make it 1")

    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """The move of the part that each point has drawn."""
        drawn = rng.choice(len(self.parts), len(sample.points), p=self.shares)
        moves = np.stack([part.displacements(sample, rng) for part in self.parts])
        return np.asarray(moves[drawn, np.arange(len(sample.points))])


@dataclass(frozen=True)
class Composition(NoiseModel):
    """One model after the other, all in the unit sphere of the clean cloud.

    It keeps the rows if all stages do.

    Attributes:
        stages: the models, in their order.
    """

    stages: tuple[NoiseModel, ...]

    @property
    def scans_meshes(self) -> bool:
        """Whether one of the stages does."""
        return any(stage.scans_meshes for stage in self.stages)

    def corrupt(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample after all stages."""
        for stage in self.stages:
            sample = stage.corrupt(sample, rng)
        return sample
