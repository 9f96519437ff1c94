"""Normals: those that a cloud brings, and those of planes through its points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.geometry.neighbours import build_tree, query_tree

_BLOCK = 1 << 16  # points whose neighbours are held at once


def plane_normals(points: NDArray[Any], k: int = 16) -> NDArray[np.float64]:
    """Unit normals of the planes that fit the neighbourhoods: the directions of their least variance.

    Source: Hoppe et al., Surface reconstruction from unorganized points (SIGGRAPH 1992), section 3.2.

    Args:
        points: (n, 3), finite.
        k: points per plane, with the point itself; lowered to n in a smaller cloud.

    Returns:
        (n, 3). The sign points away from the middle of the bounding box, which is outwards on star-shaped surfaces
        only: use it where the sign does not matter.

    Raises:
        InputError: no points, or coordinates not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    if len(points) == 0:
        raise InputError("an empty cloud has no normals; give at least three points")
    points = points - 0.5 * (points.min(axis=0) + points.max(axis=0))
    tree = build_tree(points)
    normals = np.empty_like(points)
    for first in range(0, len(points), _BLOCK):
        rows = slice(first, first + _BLOCK)
        neighbours = points[query_tree(tree, points[rows], min(k, len(points)))[1]]
        spread = neighbours - neighbours.mean(axis=1, keepdims=True)
        normals[rows] = np.linalg.eigh(np.swapaxes(spread, 1, 2) @ spread)[1][:, :, 0]
    inward = np.einsum("ij,ij->i", normals, points) < 0
    normals[inward] *= -1
    return normals


def given_normals(cloud: PointCloud, rows: NDArray[Any]) -> NDArray[np.float64] | None:
    """The attribute `normals` at some rows, made unit vectors (m, 3); None unless all of them have a direction."""
    normals = cloud.attributes.get("normals")
    if normals is None or normals.shape[1:] != (3,):
        return None
    normals = normals[rows].astype(np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / length if (np.isfinite(length) & (length > 0)).all() else None
