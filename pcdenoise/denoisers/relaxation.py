"""Even spacing of a cloud along its surface."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.neighbours import NeighbourSearch
from pcdenoise.kernels.neighbourhood import SPACING_NEIGHBOUR, local_spacing

RELAXATION_NEIGHBOURS = 12


def relax_tangentially(
    points: NDArray[np.float64], limit: NDArray[np.float64], steps: int = 3, step: float = 0.15, reach: float = 1.6
) -> NDArray[np.float64]:
    """Let near points repel each other within their tangent planes, as a scan's even pattern was before the noise.

        x_i <- x_i + step h_i P_i sum_j (1 - d_ij / h_i)_+ (x_i - x_j) / d_ij,    h_i = reach s_i,   P_i = I - n_i n_i^T

    over the 12 nearest neighbours, with local spacing `s_i` and the normal `n_i` of the plane through the 8 nearest.
    Noise moves points along the surface as far as across it; what is along cannot be told from the noisy cloud, but
    an uneven pattern is unlikely. No point leaves the ball of its limit around where it was.

    Args:
        points: (n, 3), finite, distinct, n > 12.
        limit: (n,) longest displacement, in the unit of the points.
        steps: number of iterations.
        step: relative to the reach.
        reach: of the repulsion, in local spacings.

    Returns:
        (n, 3).
    """
    moved = points
    normals = np.empty_like(points)
    for t in range(steps):
        search = NeighbourSearch(moved)
        distances, idx = (
            np.empty((len(points), RELAXATION_NEIGHBOURS)),
            np.empty((len(points), RELAXATION_NEIGHBOURS), np.int32),
        )
        distances[search.order], idx[search.order] = search(search.order, RELAXATION_NEIGHBOURS)
        if t == 0:
            _normals(moved, idx, normals)
        support = reach * local_spacing(distances[:, SPACING_NEIGHBOUR - 1], idx)
        moved = _repel(points, moved, normals, idx, support, step, limit)
    return moved


@numba.njit(parallel=True, cache=True)
def _normals(points: Any, idx: Any, normals: Any) -> None:
    """The direction of least variance of each point and its 8 nearest neighbours."""
    for i in numba.prange(len(points)):
        offsets = np.zeros((SPACING_NEIGHBOUR + 1, 3))
        for j in range(SPACING_NEIGHBOUR):
            offsets[j + 1] = points[idx[i, j]] - points[i]
        mean = np.zeros(3)
        for row in offsets:
            mean += row / len(offsets)
        covariance = np.zeros((3, 3))
        for row in offsets:
            for a in range(3):
                for b in range(3):
                    covariance[a, b] += (row[a] - mean[a]) * (row[b] - mean[b])
        normals[i] = np.linalg.eigh(covariance)[1][:, 0]


@numba.njit(parallel=True, cache=True)
def _repel(start: Any, points: Any, normals: Any, idx: Any, support: Any, step: float, limit: Any) -> Any:
    moved = np.empty_like(points)
    for i in numba.prange(len(points)):
        push = np.zeros(3)
        for j in range(idx.shape[1]):
            offset = points[i] - points[idx[i, j]]
            distance = np.sqrt((offset * offset).sum())
            if 0 < distance < support[i]:
                push += (1 - distance / support[i]) / distance * offset
        push -= (push * normals[i]).sum() * normals[i]
        total = points[i] + step * support[i] * push - start[i]
        length = np.sqrt((total * total).sum())
        if length > limit[i]:
            total *= limit[i] / length
        moved[i] = start[i] + total
    return moved
