"""Points that stand apart."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.local import LocalMethod
from pcdenoise.geometry.neighbours import knn


@dataclass(frozen=True)
class OutlierRemoval(LocalMethod):
    """Removes points, and yet keeps their count.

    A removed point goes to the nearest kept one, so that the positions of the result are those that removal leaves.
    All others stay where they are: this is no denoiser of surfaces.
    """

    def move(self, points: NDArray[np.float64], noise: float | None) -> NDArray[np.float64]:  # noqa: ARG002
        """See `LocalMethod`."""
        import open3d

        kept = np.zeros(len(points), dtype=np.bool_)
        kept[self.kept(open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points)))] = True
        if not kept.any():
            return points
        moved = points.copy()
        moved[~kept] = points[kept][knn(points[kept], 1, points[~kept])[1][:, 0]]
        return moved

    @abstractmethod
    def kept(self, cloud: Any) -> NDArray[np.int64]:
        """Rows of an open3d cloud that are not removed."""


@dataclass(frozen=True)
class StatisticalOutliers(OutlierRemoval):
    """Removes points whose mean distance to their neighbours is above mean + ratio deviations of those of all points.

    Args:
        neighbours: at least 1.
        ratio: above 0.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = (
        "Rusu, Marton, Blodow, Dolha and Beetz, Towards 3D point cloud based object maps for household environments "
        "(RAS 2008); open3d remove_statistical_outlier"
    )

    neighbours: int = 20
    ratio: float = 2.0

    def check(self) -> None:
        """See `LocalMethod`."""
        self._require_whole("neighbours")
        self._require_positive("ratio")

    def kept(self, cloud: Any) -> NDArray[np.int64]:
        """See `OutlierRemoval`."""
        return np.asarray(cloud.remove_statistical_outlier(self.neighbours, float(self.ratio))[1], dtype=np.int64)


@dataclass(frozen=True)
class RadiusOutliers(OutlierRemoval):
    """Removes points with fewer than so many others around them.

    Args:
        radius: in spacings, above 0.
        neighbours: at least 1.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = "open3d remove_radius_outlier"

    radius: float = 2.0
    neighbours: int = 4

    def check(self) -> None:
        """See `LocalMethod`."""
        self._require_positive("radius")
        self._require_whole("neighbours")

    def kept(self, cloud: Any) -> NDArray[np.int64]:
        """See `OutlierRemoval`."""
        return np.asarray(cloud.remove_radius_outlier(self.neighbours, float(self.radius))[1], dtype=np.int64)
