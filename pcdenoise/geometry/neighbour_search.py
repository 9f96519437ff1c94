"""Exact nearest neighbours of a cloud's own points on the CPU: a k-d tree whose leaves are searched as a whole.

The points of a leaf have much the same neighbours, so the tree is descended once for all of them; what is left for each
point are loops over short contiguous arrays, which the compiler turns into vector instructions: the distances to the
points of all near leaves, an upper bound of the k-th by counting, and the rank of those within it by comparing all
pairs. Boxes are as far away as they are by the same arithmetic as points, so that rounding never excludes a neighbour.
"""

import math
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError

_LEAF = 8  # points in each leaf, less in the last only
_CHUNK = 128  # leaves that a thread takes at once
_VECTOR = 16  # a multiple of what the compiled loops take at once
_CROWD = 4  # neighbours within the bound, in units of k, above which sorting is faster than comparing all pairs


class NeighbourSearch:
    """A search tree over a cloud that is asked about its own points, some of them at a time.

    Attributes:
        order: (n,) all rows, so sorted that rows near in the order are near in space.
    """

    def __init__(self, points: NDArray[np.floating[Any]]) -> None:
        """`points` (n, 3), at least one; raises InputError where coordinates are not finite."""
        if not np.isfinite(points).all():
            raise InputError(
                "no neighbours to find: data must be finite, check for nan or inf values; drop rows that are not finite"
            )
        leaves = -(-len(points) // _LEAF)
        self._depth = (leaves - 1).bit_length()
        self._boxes, self._leaves, self._rows = _sorted(np.ascontiguousarray(points, np.float64), self._depth, leaves)
        self.order: NDArray[np.int64] = self._rows.reshape(-1)[: len(points)]
        self._place = np.empty_like(self.order)
        self._place[self.order] = np.arange(len(points))

    def __call__(self, rows: NDArray[np.integer[Any]], k: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Distances (m, k) and indices (m, k) of the neighbours of `rows` (m,), as `knn` gives them; k < n.

        What is found for a row does not depend on the rows that are asked about beside it.
        """
        places = self._place[rows]
        turn = np.argsort(places)
        return self._found(places[turn], turn, k)

    def of_all(self, k: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Distances (n, k) and indices (n, k) for all rows; k < n."""
        return self._found(np.arange(len(self.order)), self.order, k)

    def _found(
        self, places: NDArray[np.int64], turn: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Row turn[i] of the answer is about the point at places[i], which ascend."""
        distances, indices = np.empty((len(places), k)), np.empty((len(places), k), np.int32)
        leaf = places // _LEAF
        starts = np.flatnonzero(np.diff(leaf, prepend=-1, append=-1))
        _search(self._boxes, self._leaves, self._rows, self._depth, places, turn, starts, distances, indices)
        return distances, indices


def compiled_before() -> bool:
    """Whether the search was compiled on this machine before; the other kernels then were, too, as a rule."""
    folder = _sorted.stats.cache_path
    return folder is not None and any(Path(folder).glob(f"{Path(__file__).stem}.{_sorted.py_func.__name__}-*.nbi"))


@numba.njit(parallel=True, cache=True)
def _sorted(points: Any, depth: int, leaves: int) -> Any:
    """Halves the leaves of each part along its longest side, `depth` times.

    Returns:
        boxes (6, nodes): lowest and highest coordinates; the root is node 1, the children of node i are 2 i and
        2 i + 1. Parts of the last level hold one leaf or none; the box of none is nan. Leaves (leaves, 3, 8) of points
        and (leaves, 8) of their rows, filled up with nan and 0.
    """
    n = len(points)
    work = np.empty((n, 4))
    for i in numba.prange(n):
        for a in range(3):
            work[i, a] = points[i, a]
        work[i, 3] = i
    boxes = np.full((6, 2 << depth), np.nan)
    for level in range(depth + 1):
        for part in numba.prange(1 << level):
            first = min(n, ((part * leaves) >> level) * _LEAF)
            last = min(n, (((part + 1) * leaves) >> level) * _LEAF)
            if first < last:
                _halve(
                    work, first, last, (((2 * part + 1) * leaves) >> (level + 1)) * _LEAF, boxes, part + (1 << level)
                )
    coordinates = np.full((leaves, 3, _LEAF), np.nan)
    rows = np.zeros((leaves, _LEAF), np.int64)
    for i in numba.prange(n):
        for a in range(3):
            coordinates[i // _LEAF, a, i % _LEAF] = work[i, a]
        rows[i // _LEAF, i % _LEAF] = int(work[i, 3])
    return boxes, coordinates, rows


@numba.njit(cache=True)
def _halve(work: Any, first: int, last: int, cut: int, boxes: Any, node: int) -> None:
    """Writes the box of rows from `first` to `last` and sorts them so that those before `cut` are on one side."""
    low, low_y, low_z = work[first, 0], work[first, 1], work[first, 2]
    high, high_y, high_z = low, low_y, low_z
    for i in range(first, last):
        x, y, z = work[i, 0], work[i, 1], work[i, 2]
        low, low_y, low_z = min(x, low), min(y, low_y), min(z, low_z)
        high, high_y, high_z = max(x, high), max(y, high_y), max(z, high_z)
    boxes[0, node], boxes[1, node], boxes[2, node] = low, low_y, low_z
    boxes[3, node], boxes[4, node], boxes[5, node] = high, high_y, high_z
    if first < cut < last:
        axis = 0
        if high_y - low_y > high - low:
            axis = 1
        if high_z - low_z > max(high - low, high_y - low_y):
            axis = 2
        _select(work, first, last - 1, cut, axis)


@numba.njit(cache=True)
def _select(work: Any, first: int, last: int, nth: int, axis: int) -> None:
    """Brings to row `nth` what a sort along the axis would, lower ones before it (Hoare, "Find", 1961)."""
    while first < last:
        a, b, c = work[first, axis], work[(first + last) // 2, axis], work[last, axis]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = first, last
        while i <= j:
            while work[i, axis] < pivot:
                i += 1
            while work[j, axis] > pivot:
                j -= 1
            if i <= j:
                for s in range(4):
                    held = work[i, s]
                    work[i, s] = work[j, s]
                    work[j, s] = held
                i += 1
                j -= 1
        if nth <= j:
            last = j
        elif nth >= i:
            first = i
        else:
            return


@numba.njit(parallel=True, cache=True)
def _search(
    boxes: Any, leaves: Any, rows: Any, depth: int, places: Any, turn: Any, starts: Any, distances: Any, indices: Any
) -> None:
    groups = len(starts) - 1
    for chunk in numba.prange((groups + _CHUNK - 1) // _CHUNK):
        nodes = np.empty(((2, (1 << depth) + 8)), np.int64)
        gaps = np.empty((1 << depth) + 8)
        guess = 0.0
        for group in range(chunk * _CHUNK, min(groups, (chunk + 1) * _CHUNK)):
            asked = slice(starts[group], starts[group + 1])
            guess = _answer(
                boxes,
                leaves,
                rows,
                depth,
                places[asked],
                turn[asked],
                guess,
                nodes[0],
                nodes[1],
                gaps,
                distances,
                indices,
            )


@numba.njit(cache=True)
def _answer(
    boxes: Any,
    leaves: Any,
    rows: Any,
    depth: int,
    places: Any,
    turn: Any,
    guess: float,
    found: Any,
    spare: Any,
    gaps: Any,
    distances: Any,
    indices: Any,
) -> Any:
    """The neighbours of points that share a leaf; `guess` affects the time only, the next one is returned."""
    k, leaf = distances.shape[1], places[0] // _LEAF
    home = (1 << depth) - 1 - (-((leaf + 1) << depth) // len(leaves))

    # No point of the leaf has its k-th neighbour farther away than the leaf's centre has its (k + 1)-th point,
    # found among those around it in the order, and that point has the centre.
    middle = 0.5 * boxes[:3, home] + 0.5 * boxes[3:, home]
    side = boxes[3:, home] - middle
    corner = side[0] * side[0] + side[1] * side[1] + side[2] * side[2]
    half = 5 * k // (4 * _LEAF) + 1
    count = min(len(leaves), 2 * half + 1)
    start = max(0, min(leaf - half, len(leaves) - count))
    for i in range(count):
        spare[i] = start + i
    near, near_rows = np.empty((3, count, _LEAF)), np.empty((count, _LEAF), np.int64)
    squares = np.empty(count * _LEAF)
    _gather(leaves, rows, spare, 0, count, near, near_rows)
    _squares(near, count, middle[0], middle[1], middle[2], squares)
    guess = _bound(squares, count * _LEAF, k + 1, guess if min(guess, corner) > 0 else corner)  # zero if it can be
    reach = math.sqrt(guess) + math.sqrt(corner)
    reach *= reach * (1 + 1e-9)

    if reach > 0:
        count = _within(boxes, depth, home, reach, found, spare, gaps)
        for i in range(count):
            found[i] = ((found[i] - (1 << depth)) * len(leaves)) >> depth
    else:  # more than k points coincide, and there may be any number of them: those at hand are as near as any
        found[:count], gaps[:count] = spare[:count], 0.0
    near, near_rows = np.empty((3, count, _LEAF)), np.empty((count, _LEAF), np.int64)
    squares = np.empty(count * _LEAF)

    # The nearest leaves tell how far each point has to look, that tells which of the other leaves matter.
    enough = 9 * (k + 1) // (4 * _LEAF) + 2
    edge = _bound(gaps, count, enough, reach / 4) if count > enough else reach
    inner = _chosen(found, gaps, count, -1.0, edge, spare, 0)
    _gather(leaves, rows, spare, 0, inner, near, near_rows)
    bounds = np.empty(len(places))
    for i in range(len(places)):
        x, y, z = leaves[leaf, :, places[i] % _LEAF]
        _squares(near, inner, x, y, z, squares)
        guess = bounds[i] = _bound(squares, inner * _LEAF, k + 1, guess)
    total = _chosen(found, gaps, count, edge, bounds.max(), spare, inner)
    _gather(leaves, rows, spare, inner, total, near, near_rows)

    at = 0
    while spare[at] != leaf:
        at += 1
    kept, kept_rows = np.empty(total * _LEAF + _VECTOR), np.empty(total * _LEAF, np.int64)
    ranked, ranked_rows = np.empty(total * _LEAF), np.empty(total * _LEAF, np.int64)
    for i in range(len(places)):
        x, y, z = leaves[leaf, :, places[i] % _LEAF]
        _squares(near, total, x, y, z, squares)
        squares[at * _LEAF + places[i] % _LEAF] = np.nan  # not its own neighbour
        count = _kept(squares, near_rows.reshape(-1), total * _LEAF, bounds[i], kept, kept_rows)
        for j in range(count):
            kept[j] = math.sqrt(kept[j])  # before they are sorted: squares that differ may have equal roots
        if count > _CROWD * (k + _VECTOR):
            count = _trimmed(kept, kept_rows, count, k)
        _rank(kept, kept_rows, count, ranked, ranked_rows)
        for j in range(k):
            distances[turn[i], j] = ranked[j]
        for j in range(k):
            indices[turn[i], j] = ranked_rows[j]
    return guess


@numba.njit(cache=True)
def _within(boxes: Any, depth: int, home: int, reach: float, nodes: Any, spare: Any, gaps: Any) -> int:
    """Lists the nodes of the last level whose squared distance from the box of `home` is within reach, and it.

    Three levels at a time: the eight boxes below a node are contiguous.
    """
    level = depth % 3
    count = _append(boxes, 1 << level, 1 << level, home, reach, nodes, gaps, 0)
    while level < depth:
        level += 3
        parents, count = count, 0
        spare[:parents] = nodes[:parents]
        for i in range(parents):
            count = _append(boxes, 8 * spare[i], 8, home, reach, nodes, gaps, count)
    return count


@numba.njit(cache=True)
def _append(boxes: Any, first: int, size: int, home: int, reach: float, nodes: Any, gaps: Any, count: int) -> int:
    """Adds those of `size` nodes, at most eight, whose boxes are within reach."""
    squares = np.empty(8)
    for j in range(size):
        square = 0.0
        for a in range(3):
            below, above = boxes[a, first + j] - boxes[3 + a, home], boxes[a, home] - boxes[3 + a, first + j]
            gap = above if above > below else below
            gap = 0.0 if gap < 0 else gap
            square += gap * gap
        squares[j] = square
    for j in range(size):
        nodes[count], gaps[count] = first + j, squares[j]
        count += squares[j] <= reach
    return count


@numba.njit(cache=True)
def _chosen(found: Any, gaps: Any, count: int, low: float, high: float, chosen: Any, size: int) -> int:
    """Adds to `chosen` the leaves whose gap is above `low` and at most `high`."""
    for i in range(count):
        if low < gaps[i] <= high:
            chosen[size] = found[i]
            size += 1
    return size


@numba.njit(cache=True)
def _gather(leaves: Any, rows: Any, chosen: Any, first: int, last: int, near: Any, near_rows: Any) -> None:
    for i in range(first, last):
        leaf = chosen[i]
        for j in range(_LEAF):
            near[0, i, j], near[1, i, j], near[2, i, j] = leaves[leaf, 0, j], leaves[leaf, 1, j], leaves[leaf, 2, j]
            near_rows[i, j] = rows[leaf, j]


@numba.njit(cache=True)
def _squares(near: Any, count: int, x: float, y: float, z: float, squares: Any) -> None:
    """Squared distances to the points of `count` leaves."""
    xs, ys, zs = near[0].reshape(-1), near[1].reshape(-1), near[2].reshape(-1)
    for j in range(count * _LEAF):
        dx, dy, dz = xs[j] - x, ys[j] - y, zs[j] - z
        squares[j] = dx * dx + dy * dy + dz * dz


@numba.njit(cache=True)
def _bound(values: Any, size: int, wanted: int, guess: float) -> Any:
    """An upper bound of the `wanted`-th smallest value, with few values between, by the rule of false position."""
    low, below, high, above = 0.0, 0, np.inf, size
    for _ in range(8):
        count = 0
        for j in range(size):
            count += values[j] <= guess
        if count < wanted:
            low, below = guess, count
        else:
            high, above = guess, count
            if above <= wanted + wanted // 8 + 4:
                return high
        if high == np.inf:
            guess *= 2
        else:
            guess = low + (high - low) * (wanted + wanted // 16 + 2 - below) / (above - below)
    return high if above <= 2 * wanted and high < np.inf else np.sort(values[:size])[wanted - 1]


@numba.njit(cache=True)
def _kept(squares: Any, rows: Any, size: int, bound: float, kept: Any, kept_rows: Any) -> int:
    """Those within the bound; without a branch, as nobody can predict it."""
    count = 0
    for j in range(size):
        kept[count], kept_rows[count] = squares[j], rows[j]
        count += squares[j] <= bound
    return count


@numba.njit(cache=True)
def _trimmed(kept: Any, rows: Any, size: int, k: int) -> int:
    """The k nearest of a crowd; of equally distant ones those with the lowest index."""
    last = np.sort(kept[:size])[k - 1]
    tied = np.sort(rows[:size][kept[:size] == last])
    count = 0
    for j in range(size):
        kept[count], rows[count] = kept[j], rows[j]
        count += kept[j] < last
    kept[count:k], rows[count:k] = last, tied[: k - count]
    return k


@numba.njit(cache=True)
def _rank(kept: Any, rows: Any, size: int, ranked: Any, ranked_rows: Any) -> None:
    """Sorts by distance, equal ones by their index; for some forty values faster than sorting."""
    kept[size : size + _VECTOR] = np.inf
    padded = (size + _VECTOR - 1) // _VECTOR * _VECTOR
    total = 0
    for i in range(size):
        rank = 0
        for j in range(padded):
            rank += kept[j] < kept[i]
        total += rank
        ranked[rank], ranked_rows[rank] = kept[i], rows[i]
    if total == size * (size - 1) // 2:
        return
    for i in range(size):
        rank = 0
        for j in range(size):
            rank += kept[j] < kept[i] or (kept[j] == kept[i] and rows[j] < rows[i])
        ranked[rank], ranked_rows[rank] = kept[i], rows[i]
