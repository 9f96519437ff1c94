"""Points that belong to no surface."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.noise_models.model import ADDED, NoiseModel, Sample, check_level
from pcdenoise.errors import UsageError


@dataclass(frozen=True)
class UniformOutliers(NoiseModel):
    """Adds points spread evenly over the bounding box, which is widened on each side.

    The cloud stays as it is; the new points follow its last row.

    Attributes:
        share: new points over old ones, at least 0; their number is rounded.
        margin: by which each side of the box moves outwards, relative to the unit sphere; at least 0.

    Raises:
        UsageError: a value is negative or not finite.
    """

    share: float = 0.05
    margin: float = 0.1

    def __post_init__(self) -> None:
        check_level(self.share, "the share of outliers")
        check_level(self.margin, "the margin of the box")

    def corrupt(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample and its outliers."""
        lower, upper = sample.points.min(axis=0) - self.margin, sample.points.max(axis=0) + self.margin
        return _with_points(sample, rng.uniform(lower, upper, (round(self.share * len(sample.points)), 3)))


@dataclass(frozen=True)
class ClusteredOutliers(NoiseModel):
    """Adds points in clusters, `y = c + r z`, `z ~ N(0, I)`, whose centres `c` are spread evenly over the bounding box.

    Such are reflections and what moved through a scan. The cloud stays as it is; the new points follow its last row.

    Attributes:
        share: new points over old ones, at least 0; their number is rounded, and each has any cluster.
        clusters: how many, at least 1.
        radius: r, the standard deviation per coordinate within a cluster, relative to the unit sphere; at least 0.

    Raises:
        UsageError: a value out of its range.
    """

    share: float = 0.05
    clusters: int = 10
    radius: float = 0.03

    def __post_init__(self) -> None:
        check_level(self.share, "the share of outliers")
        check_level(self.radius, "the radius of a cluster")
        if not isinstance(self.clusters, int) or self.clusters < 1:
            raise UsageError(f"clusters is {self.clusters}; give a whole number of at least 1")

    def corrupt(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample and its outliers."""
        count = round(self.share * len(sample.points))
        centres = rng.uniform(sample.points.min(axis=0), sample.points.max(axis=0), (self.clusters, 3))
        own = centres[rng.integers(self.clusters, size=count)]
        return _with_points(sample, own + self.radius * rng.standard_normal((count, 3)))


def _with_points(sample: Sample, points: NDArray[np.float64]) -> Sample:
    """The sample with points after its last row; they have no normals, so that theirs are zero."""
    rows = np.concatenate([sample.rows, np.full(len(points), ADDED)])
    normals = sample.normals if sample.normals is None else np.concatenate([sample.normals, np.zeros_like(points)])
    return replace(sample, points=np.concatenate([sample.points, points]), rows=rows, normals=normals)
