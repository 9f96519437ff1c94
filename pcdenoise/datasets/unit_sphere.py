"""The unit of the benchmarks: a shape moved and scaled into the unit sphere."""

import numpy as np
from numpy.typing import NDArray


def bounding_sphere(points: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """Midpoint of the bounding box (3,) and largest distance of a point (n, 3) from it, in the unit of the points."""
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0)).astype(np.float64)
    return centre, float(np.linalg.norm(points - centre, axis=1).max())


def unit_sphere(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points (n, 3) moved and scaled: bounding-box midpoint 0, largest radius 1."""
    centre, radius = bounding_sphere(points)
    return (points - centre) / radius
