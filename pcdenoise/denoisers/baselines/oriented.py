"""Normals that agree on their side, for methods that tell the two sides of a surface."""

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.normals import on_one_side, plane_normals

_LINKS = 8  # of the graph along which sides are handed on


def oriented_normals(points: NDArray[np.float64], plane: int) -> NDArray[np.float64]:
    """Normals (n, 3) of planes through `plane` points, turned to one side along a spanning tree."""
    _, neighbours = knn(points, min(_LINKS, len(points) - 1))
    return on_one_side(points, plane_normals(points, plane), neighbours)
