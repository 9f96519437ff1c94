"""What a network sees of the positions, in arrays: edges and neighbourhood moments, in units of the local spacing.

Nothing here needs torch, which takes longer to import than a cloud takes to denoise.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

SPACING_NEIGHBOUR = 8  # the local spacing is measured by the distance to this neighbour
DISC_RADIUS = math.sqrt(SPACING_NEIGHBOUR / math.pi)  # of the disc that holds so many points of unit spacing
EDGE_FEATURES = 4  # offset (3) and distance (1)
MOMENTS = 9  # mean offset (3) and covariance (6) of a neighbourhood


@dataclass(frozen=True)
class ArrayGraph:
    """A `pcdenoise.kernels.neighbourhood.NeighbourGraph` in arrays; see there."""

    idx: NDArray[np.int32]
    edges: NDArray[np.float32]
    moments: NDArray[np.float32]
    spacing: NDArray[np.float32]
    sizes: tuple[int, ...]

    def half_turned(self, signs: tuple[int, int, int]) -> "ArrayGraph":
        """The graph of the points turned by half a turn about an axis, to the bit.

        Args:
            signs: of the three coordinates, with the product 1.
        """
        if signs == (1, 1, 1):
            return self
        of_edges, of_moments = (np.array(its, np.float32) for its in signs_of(signs))
        return replace(self, edges=self.edges * of_edges, moments=self.moments * of_moments)


def signs_of(signs: tuple[int, int, int]) -> tuple[list[int], list[int]]:
    """The signs that edges (4) and moments (9) change by when coordinates change by `signs`."""
    x, y, z = signs
    return [x, y, z, 1], [x, y, z, 1, 1, 1, x * y, x * z, y * z]


def local_spacing(distances: NDArray[Any], idx: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Spacing around each point: median over its neighbours of the 8th-neighbour distance, over `sqrt(8 / pi)`.

    A disc of that radius holds 8 points of a surface with one point per square spacing.

    Args:
        distances: (m,) distance of each point to its 8th neighbour (to its farthest if it has fewer).
        idx: (n, k) neighbours of the first n points.

    Returns:
        (n,) in the unit of `distances`; zero where most neighbours coincide.
    """
    median = np.empty(len(idx))
    _median_around(np.ascontiguousarray(distances, dtype=np.float64), idx, median)
    return median / DISC_RADIUS


def array_graph(
    points: NDArray[np.float64],
    idx: NDArray[np.int32],
    spacing: NDArray[np.float64],
    neighbourhoods: tuple[int, ...],
    sizes: tuple[int, ...],
) -> ArrayGraph:
    """Edges and moments of a k-NN graph. Offsets are taken in float64, so a far-away origin costs no accuracy.

    Args:
        points: (m, 3).
        idx: (n, k) with n <= m, neighbours of the first n points, nearest first.
        spacing: (n,) local spacing, positive.
        neighbourhoods: increasing neighbour counts, the last at most k.
        sizes: see `NeighbourGraph`.
    """
    edges = np.empty((*idx.shape, 4), np.float32)
    moments = np.empty((len(idx), len(neighbourhoods), MOMENTS), np.float32)
    edges_and_moments(points, idx, spacing, np.array(neighbourhoods), edges, moments)
    return ArrayGraph(idx, edges, moments, spacing.astype(np.float32)[:, None], sizes)


def with_wider_moments(graph: ArrayGraph, hops: int) -> ArrayGraph:
    """See `pcdenoise.kernels.wider_moments.with_wider_moments`."""
    if not hops:
        return graph
    (wider,) = _wider_moments(graph, graph.moments[:, -1:], hops)
    moments = np.concatenate([graph.moments[: len(wider)], wider], axis=1)
    return replace(graph, moments=moments, sizes=graph.sizes[hops:])


def with_noisy_moments(
    graph: ArrayGraph,
    points: NDArray[np.float64],
    noisy: NDArray[np.float64],
    neighbourhoods: tuple[int, ...],
    hops: int,
) -> ArrayGraph:
    """See `pcdenoise.kernels.noisy_moments.with_noisy_moments`."""
    both, unit = np.concatenate([points, noisy]), graph.spacing.astype(np.float64)
    idx = graph.idx + np.int32(len(points))
    before = array_graph(both, idx, unit[:, 0], neighbourhoods, graph.sizes).moments
    rows = graph.sizes[hops]
    alone = np.zeros((rows, 1, MOMENTS), np.float32)
    alone[:, 0, :3] = (noisy[:rows] - points[:rows]) / unit[:rows]
    moments = [graph.moments[:rows], alone, before[:rows]]
    if hops:
        wider, wider_before = _wider_moments(graph, np.stack([graph.moments[:, -1], before[:, -1]], axis=1), hops)
        moments = [moments[0], wider, *moments[1:], wider_before]
    return replace(graph, moments=np.concatenate(moments, axis=1), sizes=graph.sizes[hops:])


def _wider_moments(graph: ArrayGraph, moments: NDArray[np.float32], hops: int) -> NDArray[np.float32]:
    """Moments (kinds, n', hops, 9) for those (n, kinds, 9) that each kind begins with."""
    kinds = moments.shape[1]
    result = np.empty((kinds, graph.sizes[hops], hops, MOMENTS), moments.dtype)
    unit = graph.spacing[:, :, None]
    scale = np.concatenate([unit.repeat(3, axis=2), np.square(unit).repeat(MOMENTS - 3, axis=2)], axis=2)
    level = scale.astype(np.float64) * moments
    for hop, size in enumerate(graph.sizes[1 : hops + 1]):
        before, level = level, np.empty((size, kinds, MOMENTS))
        _hop(before, graph.idx[:size], graph.edges[:size], graph.spacing[:size, 0], result[:, :, hop], level)
    return result


@numba.njit(parallel=True, cache=True)
def _median_around(values, idx, median):  # type: ignore[no-untyped-def]
    """Comparing all pairs takes a quarter of the time of a sort: k is small, and the loops have no branches."""
    n, k = idx.shape
    for i in numba.prange(n):
        around = values[idx[i]]
        low = high = -np.inf  # the elements (k - 1) // 2 and k // 2 in ascending order
        for value in around:
            smaller = 0
            for other in around:
                smaller += other < value
            if smaller <= (k - 1) // 2:
                low = max(low, value)
            if smaller <= k // 2:
                high = max(high, value)
        median[i] = (low + high) / 2


@numba.njit(parallel=True, cache=True)
def edges_and_moments(points, idx, spacing, neighbourhoods, edges, moments):  # type: ignore[no-untyped-def]
    """Fill `edges` (n, k, 4) and `moments` (n, scales, 9), see `array_graph`."""
    n, k = idx.shape
    for i in numba.prange(n):
        inverse = 1.0 / spacing[i]
        first = np.zeros(3)
        second = np.zeros(6)
        size = 0
        for j in range(k):
            s = idx[i, j]
            x = (points[s, 0] - points[i, 0]) * inverse
            y = (points[s, 1] - points[i, 1]) * inverse
            z = (points[s, 2] - points[i, 2]) * inverse
            edges[i, j, 0] = x
            edges[i, j, 1] = y
            edges[i, j, 2] = z
            edges[i, j, 3] = math.sqrt(x * x + y * y + z * z)
            first[0] += x
            first[1] += y
            first[2] += z
            second[0] += x * x
            second[1] += y * y
            second[2] += z * z
            second[3] += x * y
            second[4] += x * z
            second[5] += y * z
            if size < len(neighbourhoods) and j + 1 == neighbourhoods[size]:
                scale = 1.0 / (j + 1)
                mx, my, mz = first[0] * scale, first[1] * scale, first[2] * scale
                moments[i, size, 0] = mx
                moments[i, size, 1] = my
                moments[i, size, 2] = mz
                moments[i, size, 3] = second[0] * scale - mx * mx
                moments[i, size, 4] = second[1] * scale - my * my
                moments[i, size, 5] = second[2] * scale - mz * mz
                moments[i, size, 6] = second[3] * scale - mx * my
                moments[i, size, 7] = second[4] * scale - mx * mz
                moments[i, size, 8] = second[5] * scale - my * mz
                size += 1


# Contraction to fused multiply-add, no reassociation: the same bits at any thread count.
@numba.njit(parallel=True, fastmath={"contract", "nsz"}, cache=True)
def _hop(moments: Any, idx: Any, edges: Any, spacing: Any, relative: Any, out: Any) -> None:
    """One hop in the unit of the points, (m, kinds, 9) to (n, kinds, 9), and in that of the spacing (kinds, n', 9)."""
    n, k = idx.shape
    for i in numba.prange(n):
        s = spacing[i]
        for kind in range(moments.shape[1]):
            x = y = z = xx = yy = zz = xy = xz = yz = 0.0
            for j in range(k):
                theirs = moments[idx[i, j], kind]
                u, v, w = s * edges[i, j, 0] + theirs[0], s * edges[i, j, 1] + theirs[1], s * edges[i, j, 2] + theirs[2]
                x, y, z = x + u, y + v, z + w
                xx, yy, zz = xx + (theirs[3] + u * u), yy + (theirs[4] + v * v), zz + (theirs[5] + w * w)
                xy, xz, yz = xy + (theirs[6] + u * v), xz + (theirs[7] + u * w), yz + (theirs[8] + v * w)
            x, y, z = x / k, y / k, z / k
            mine = out[i, kind]
            mine[0], mine[1], mine[2] = x, y, z
            mine[3], mine[4], mine[5] = xx / k - x * x, yy / k - y * y, zz / k - z * z
            mine[6], mine[7], mine[8] = xy / k - x * y, xz / k - x * z, yz / k - y * z
            if i < relative.shape[1]:
                for a in range(3):
                    relative[kind, i, a] = mine[a] / s
                for a in range(3, 9):
                    relative[kind, i, a] = mine[a] / (s * s)
