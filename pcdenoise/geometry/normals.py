"""Normals: those that a cloud brings, and those of planes through its points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.geometry.neighbours import build_tree, query_tree

_BLOCK = 1 << 16  # points whose neighbours are held at once


def plane_normals(points: NDArray[Any], k: int = 16, queries: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Unit normals of the planes that fit the neighbourhoods: the directions of their least variance.

    Source: Hoppe et al., Surface reconstruction from unorganized points (SIGGRAPH 1992), section 3.2.

    Args:
        points: (n, 3), finite.
        k: points per plane, with the point itself; lowered to n in a smaller cloud.
        queries: (m, 3) where the normals are wanted, finite; by default at the points.

    Returns:
        (n, 3), or (m, 3) for queries. The sign points away from the middle of the bounding box, which is outwards on
        star-shaped surfaces only: use it where the sign does not matter.

    Raises:
        InputError: no points, or coordinates not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    if len(points) == 0:
        raise InputError("an empty cloud has no normals; give at least three points")
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    points = points - middle
    places = points if queries is None else np.asarray(queries, dtype=np.float64) - middle
    tree = build_tree(points)
    normals = np.empty_like(places)
    for first in range(0, len(places), _BLOCK):
        rows = slice(first, first + _BLOCK)
        neighbours = points[query_tree(tree, places[rows], min(k, len(points)))[1]]
        spread = neighbours - neighbours.mean(axis=1, keepdims=True)
        normals[rows] = np.linalg.eigh(np.swapaxes(spread, 1, 2) @ spread)[1][:, :, 0]
    inward = np.einsum("ij,ij->i", normals, places) < 0
    normals[inward] *= -1
    return normals


def on_one_side(
    points: NDArray[np.float64], normals: NDArray[np.float64], neighbours: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Normals (n, 3) turned so that they agree along a spanning tree of each part, and on the whole point outwards.

    Source: Hoppe et al., section 3.3, whose tree it is.

    Args:
        points: (n, 3).
        normals: (n, 3) of any sign.
        neighbours: (n, links) rows.
    """
    n, links = neighbours.shape
    rows, columns = np.repeat(np.arange(n), links), neighbours.ravel()
    # 1 more than how far the normal turns, because a weight of 0 would be no link
    turning = 2 - np.abs(np.einsum("ni,ni->n", normals[rows], normals[columns]))
    graph = coo_array((turning, (rows, columns)), shape=(n, n)).tocsr()
    count, part = connected_components(graph, directed=False)
    tree = minimum_spanning_tree(graph).tocoo()
    # row n is a root beside the cloud, to which the first row of each part is tied
    firsts = np.unique(part, return_index=True)[1]
    ends = np.concatenate([tree.row, np.full(count, n)]), np.concatenate([tree.col, firsts])
    rooted = coo_array((np.ones(len(ends[0])), ends), shape=(n + 1, n + 1)).tocsr()
    parent = breadth_first_order(rooted, n, directed=False)[1]
    parent[n] = n
    turned = np.ones(n + 1)
    below = np.flatnonzero(parent[:n] != n)
    turned[below] = np.where(np.einsum("ni,ni->n", normals[below], normals[parent[below]]) < 0, -1.0, 1.0)
    while (parent != n).any():  # each step doubles the part of the way to the root whose turns are multiplied
        turned = turned * turned[parent]
        parent = parent[parent]
    agreeing = turned[:n, None] * normals
    outwards = np.bincount(part, np.einsum("ni,ni->n", agreeing, points - points.mean(axis=0)))
    outer: NDArray[np.float64] = np.where(outwards < 0, -1.0, 1.0)[part, None] * agreeing
    return outer


def given_normals(cloud: PointCloud, rows: NDArray[Any]) -> NDArray[np.float64] | None:
    """The attribute `normals` at some rows, made unit vectors (m, 3); None unless all of them have a direction."""
    normals = cloud.attributes.get("normals")
    if normals is None or normals.shape[1:] != (3,):
        return None
    normals = normals[rows].astype(np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / length if (np.isfinite(length) & (length > 0)).all() else None
