"""Blue-noise (Poisson-disk) sampling of triangle meshes."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError

CANDIDATES_PER_SAMPLE = 5


def uniform(
    vertices: NDArray[Any], faces: NDArray[Any], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw `n` points uniformly by area.

    Args:
        vertices: (v, 3).
        faces: (f, 3) vertex indices.
        n: number of points.
        rng: the only source of randomness.

    Returns:
        points (n, 3) and the unit normals (n, 3) of the faces they lie on.

    Raises:
        InputError: the mesh has no area.
    """
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces)]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double_areas = np.linalg.norm(normals, axis=1)
    if not double_areas.sum() > 0:
        raise InputError("the mesh has no area to sample; give triangles with distinct corners")
    cumulative = np.cumsum(double_areas)
    face = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right").clip(0, len(cumulative) - 1)
    root, v = np.sqrt(rng.random(n)), rng.random(n)
    weights = np.stack([1 - root, root * (1 - v), root * v], axis=1)
    points = np.einsum("nc,ncd->nd", weights, corners[face])
    return points, normals[face] / double_areas[face, None]


def poisson_disk(
    vertices: NDArray[Any], faces: NDArray[Any], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw exactly `n` evenly spread points by weighted sample elimination (Yuksel, Eurographics 2015).

    From 5 n uniform candidates the one with the largest weight `sum_j (1 - max(d_ij, r_min) / r_max)^8` is removed
    until `n` are left, with `r_max = 2 sqrt(A / (2 sqrt(3) n))` for surface area `A`.

    Args:
        vertices: (v, 3).
        faces: (f, 3) vertex indices.
        n: number of points, at least 1.
        rng: the only source of randomness.

    Returns:
        points (n, 3) and the unit normals (n, 3) of the faces they lie on.

    Raises:
        InputError: the mesh has no area.
    """
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces)]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    points, normals = uniform(vertices, faces, CANDIDATES_PER_SAMPLE * n, rng)
    r_max = 2 * np.sqrt(area / (2 * np.sqrt(3) * n))
    r_min = 0.65 * r_max * (1 - (1 / CANDIDATES_PER_SAMPLE) ** 1.5)
    cells = np.floor((points - points.min(axis=0)) / r_max).astype(np.int64) + 1
    shape = cells.max(axis=0) + 2
    keys = (cells[:, 0] * shape[1] + cells[:, 1]) * shape[2] + cells[:, 2]
    order = np.argsort(keys, kind="stable")
    points, normals, keys = points[order], normals[order], keys[order]
    occupied, starts = np.unique(keys, return_index=True)
    kept = _eliminate(points, occupied, np.append(starts, len(keys)), shape, n, r_min, r_max)
    return points[kept], normals[kept]


@numba.njit(cache=True)
def _eliminate(points, occupied, starts, shape, n, r_min, r_max):  # type: ignore[no-untyped-def]
    """Indices of the `n` survivors; points are sorted by grid cell, `starts` delimits the occupied cells."""
    m = len(points)
    limit = r_max * r_max
    weights = np.zeros(m)
    counts = np.zeros(m + 1, np.int64)
    for fill in range(2):  # first count the neighbours of each point, then write them down
        if fill == 1:
            counts[1:] = np.cumsum(counts[:-1].copy())
            counts[0] = 0
            neighbours = np.empty(counts[m], np.int32)
            terms = np.empty(counts[m], np.float64)
        else:
            neighbours = np.empty(0, np.int32)
            terms = np.empty(0, np.float64)
        for c in range(len(occupied)):
            for dx in range(-1, 2):
                for dy in range(-1, 2):
                    first = occupied[c] + (dx * shape[1] + dy) * shape[2] - 1
                    other = np.searchsorted(occupied, first)
                    while other < len(occupied) and occupied[other] <= first + 2:
                        for i in range(starts[c], starts[c + 1]):
                            for j in range(starts[other], starts[other + 1]):
                                if i == j:
                                    continue
                                d2 = 0.0
                                for a in range(3):
                                    d = points[i, a] - points[j, a]
                                    d2 += d * d
                                if d2 < limit:
                                    if fill == 0:
                                        counts[i] += 1
                                    else:
                                        at = counts[i]
                                        counts[i] += 1
                                        neighbours[at] = j
                                        terms[at] = (1 - max(np.sqrt(d2), r_min) / r_max) ** 8
                                        weights[i] += terms[at]
                        other += 1
    # After the second sweep counts[i] is the end of row i, and so the start of row i + 1.
    heap = np.argsort(-weights)
    place = np.empty(m, np.int64)
    for h in range(m):
        place[heap[h]] = h
    size = m
    while size > n:
        worst = heap[0]
        size -= 1
        last = heap[size]
        place[worst] = -1
        heap[0] = last
        place[last] = 0
        _sift_down(heap, place, weights, 0, size)
        start = counts[worst - 1] if worst > 0 else 0
        for at in range(start, counts[worst]):
            j = neighbours[at]
            if place[j] >= 0:
                weights[j] -= terms[at]
                _sift_down(heap, place, weights, place[j], size)
    return np.sort(heap[:n])


@numba.njit(cache=True)
def _sift_down(heap, place, weights, h, size):  # type: ignore[no-untyped-def]
    moving = heap[h]
    while True:
        child = 2 * h + 1
        if child >= size:
            break
        if child + 1 < size and weights[heap[child + 1]] > weights[heap[child]]:
            child += 1
        if weights[heap[child]] <= weights[moving]:
            break
        heap[h] = heap[child]
        place[heap[h]] = h
        h = child
    heap[h] = moving
    place[moving] = h
