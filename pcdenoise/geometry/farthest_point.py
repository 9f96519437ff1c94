"""Farthest-point sampling: a few points that are spread over all of a cloud."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError


def farthest_point_sampling(points: NDArray[Any], m: int, start: int = 0) -> NDArray[np.int64]:
    """Indices of `m` points, each the farthest from all before it.

        i_0 = start,    i_t = argmax_i min_{s < t} |p_i - p_{i_s}|

    Exact, in O(n m) time; of equally far points the first one is taken. Coincident points are taken last, and each
    index comes once.

    Args:
        points: (n, 3), finite.
        m: how many, 1 to n.
        start: index of the first.

    Returns:
        (m,) int64 indices, in the order in which they are taken: the first m' of them are the answer for m'.

    Raises:
        InputError: m or start out of range, or coordinates not finite.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    if not 1 <= m <= len(points):
        raise InputError(f"{m} points asked of {len(points)}; ask for 1 to {len(points)}")
    if not 0 <= start < len(points):
        raise InputError(f"the first point is number {start}, but there are {len(points)}; count from 0")
    if not np.isfinite(points).all():
        raise InputError("coordinates are not finite; drop such rows before sampling")
    chosen: NDArray[np.int64] = _farthest(points, m, start)
    return chosen


@numba.njit(cache=True)
def _farthest(points: Any, m: int, start: int) -> Any:
    chosen = np.empty(m, dtype=np.int64)
    nearest = np.full(len(points), np.inf)
    current = start
    for t in range(m):
        chosen[t] = current
        x, y, z = points[current]
        nearest[current] = -1.0  # below any distance, so that it is not taken again
        farthest, best = -1.0, 0
        for i in range(len(points)):
            if nearest[i] < 0:
                continue
            squared = (points[i, 0] - x) ** 2 + (points[i, 1] - y) ** 2 + (points[i, 2] - z) ** 2
            nearest[i] = min(nearest[i], squared)
            if nearest[i] > farthest:
                farthest, best = nearest[i], i
        current = best
    return chosen
