"""Point sets of CGAL, and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.local import library


def processing() -> Any:
    """CGAL's package Point Set Processing. Raises UsageError where CGAL is not installed."""
    return library("CGAL.CGAL_Point_set_processing_3")


def point_set(points: NDArray[np.float64], normals: NDArray[np.float64] | None = None) -> Any:
    """A `Point_set_3` of points (n, 3) and, where given, normals (n, 3).

    Raises:
        UsageError: CGAL is not installed.
    """
    kernel = library("CGAL.CGAL_Kernel")
    points_of_cgal = library("CGAL.CGAL_Point_set_3").Point_set_3()
    for point in points.tolist():
        points_of_cgal.insert(kernel.Point_3(*point))
    if normals is not None:
        points_of_cgal.add_normal_map()
        directions = points_of_cgal.normal_map()
        for index, normal in enumerate(normals.tolist()):
            directions.set(index, kernel.Vector_3(*normal))
    return points_of_cgal


def coordinates(points_of_cgal: Any) -> NDArray[np.float64]:
    """The points (n, 3) of a `Point_set_3`, in its own order."""
    return np.array([(p.x(), p.y(), p.z()) for p in points_of_cgal.points()])
