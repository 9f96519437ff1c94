"""Normals of a cloud that brings none."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.neighbours import knn

NEIGHBOURS = 16
_BLOCK = 1 << 16  # points whose neighbourhoods are held at once


def plane_normals(points: NDArray[Any], k: int = NEIGHBOURS) -> NDArray[np.float64]:
    """The direction of least variance of the `k` points nearest to each point, itself among them.

    Args:
        points: (n, 3), finite.
        k: neighbours; lowered to n in a smaller cloud.

    Returns:
        (n, 3) unit vectors of arbitrary sign.
    """
    points = np.asarray(points, dtype=np.float64)
    _, indices = knn(points, min(k, len(points)), include_self=True)
    normals = np.empty_like(points)
    for first in range(0, len(points), _BLOCK):
        around = points[indices[first : first + _BLOCK]]
        around = around - around.mean(axis=1, keepdims=True)
        normals[first : first + _BLOCK] = np.linalg.eigh(np.swapaxes(around, 1, 2) @ around)[1][:, :, 0]
    return normals
