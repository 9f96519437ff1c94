"""What a network sees of the positions: edges and neighbourhood moments, in units of the local spacing."""

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPACING_NEIGHBOUR = 8  # the local spacing is measured by the distance to this neighbour
_DISC_RADIUS = math.sqrt(SPACING_NEIGHBOUR / math.pi)
MOMENTS = 9  # mean offset (3) and covariance (6) of a neighbourhood


@dataclass(frozen=True)
class NeighbourGraph:
    """A static k-NN graph and its geometry. Rows come in rings: the rows that are wanted first, then their
    neighbours, then the neighbours' neighbours, so that layer `l` only needs to compute the first `sizes[l]` rows.

    Attributes:
        idx: (n, k) int32, the k nearest neighbours of each row, nearest first, without the row itself.
        edges: (n, k, 4) float32, offset `(p_j - p_i) / s_i` and its length.
        moments: (n, len(neighbourhoods), 9) float32, mean and covariance (xx, yy, zz, xy, xz, yz) of the offsets to
            the nearest 4, 8, ... neighbours.
        spacing: (n, 1) float32, the local spacing `s_i` in the unit of the points.
        sizes: rows computed by the input layer and by each block; non-increasing.
    """

    idx: Tensor
    edges: Tensor
    moments: Tensor
    spacing: Tensor
    sizes: tuple[int, ...]

    def to(self, device: torch.device | str) -> "NeighbourGraph":
        """The same graph on another device."""
        return NeighbourGraph(
            self.idx.to(device), self.edges.to(device), self.moments.to(device), self.spacing.to(device), self.sizes
        )


def local_spacing(distances: NDArray[Any], idx: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Spacing around each point: median over its neighbours of the 8th-neighbour distance, over `sqrt(8 / pi)`.

    A disc of that radius holds 8 points of a surface with one point per square spacing.

    Args:
        distances: (m,) distance of each point to its 8th neighbour (to its farthest if it has fewer).
        idx: (n, k) neighbours of the first n points.

    Returns:
        (n,) in the unit of `distances`; zero where most neighbours coincide.
    """
    around: NDArray[np.float64] = np.median(distances[idx], axis=1) / _DISC_RADIUS
    return around


def build_graph(
    points: NDArray[np.float64],
    idx: NDArray[np.int32],
    spacing: NDArray[np.float64],
    neighbourhoods: tuple[int, ...],
    sizes: tuple[int, ...],
) -> NeighbourGraph:
    """Edges and moments of a k-NN graph. Offsets are taken in float64, so a far-away origin costs no accuracy.

    Args:
        points: (m, 3).
        idx: (n, k) with n <= m, neighbours of the first n points, nearest first.
        spacing: (n,) local spacing, positive.
        neighbourhoods: increasing neighbour counts, the last at most k.
        sizes: see `NeighbourGraph`.
    """
    n, k = idx.shape
    edges = np.empty((n, k, 4), np.float32)
    moments = np.empty((n, len(neighbourhoods), MOMENTS), np.float32)
    _edges_and_moments(points, idx, spacing, np.array(neighbourhoods), edges, moments)
    return NeighbourGraph(
        torch.from_numpy(idx),
        torch.from_numpy(edges),
        torch.from_numpy(moments),
        torch.from_numpy(spacing.astype(np.float32)[:, None]),
        sizes,
    )


@numba.njit(parallel=True, cache=True)
def _edges_and_moments(points, idx, spacing, neighbourhoods, edges, moments):  # type: ignore[no-untyped-def]
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
