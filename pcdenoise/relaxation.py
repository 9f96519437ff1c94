"""Even spacing of a cloud along its surface."""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.array_graph import SPACING_NEIGHBOUR, local_spacing

RELAXATION_NEIGHBOURS = 12
RELAXATION = 0.6  # no point moves further than so many sigmas (that the network was told of)


def relax_tangentially(
    points: NDArray[np.float64],
    limit: NDArray[np.float64],
    steps: int = 8,
    step: float = 0.3,
    reach: float = 1.15,
) -> NDArray[np.float64]:
    """Let near points repel each other within their tangent planes, as a scan's even pattern was before the noise.

        x_i <- x_i + step h_i P_i sum_j (1 - d_ij / h_i)_+ (x_i - x_j) / d_ij,    h_i = reach s_i,   P_i = I - n_i n_i^T

    over the 12 nearest neighbours, with local spacing `s_i` and the normal `n_i` of the plane through the 8 nearest.
    Noise moves points along the surface as far as across it; what is along cannot be told from the noisy cloud, but
    an uneven pattern is unlikely. No point leaves the ball of its limit around where it was. The numbers were chosen on
    validation shapes.

    Args:
        points: (n, 3), finite, distinct; 12 or fewer stay where they are.
        limit: (n,) longest displacement, in the unit of the points.
        steps: iterations; neighbours and spacing are found once.
        step: relative to the reach.
        reach: of the repulsion, in local spacings.

    Returns:
        (n, 3); the points themselves where nothing can move.
    """
    if len(points) <= RELAXATION_NEIGHBOURS or not limit.any():
        return points
    distances, idx = knn(points, RELAXATION_NEIGHBOURS)
    normals = np.empty_like(points)
    _normals(points, idx, normals)
    support = reach * local_spacing(distances[:, SPACING_NEIGHBOUR - 1], idx)
    moved = points
    for _ in range(steps):
        moved = _repel(points, moved, normals, idx, support, step, limit)
    return moved


@numba.njit(parallel=True, cache=True)
def _normals(points: Any, idx: Any, normals: Any) -> None:
    """The direction of least variance of each point and its 8 nearest neighbours."""
    for i in numba.prange(len(points)):
        x = y = z = xx = xy = xz = yy = yz = zz = 0.0
        for j in idx[i, :SPACING_NEIGHBOUR]:
            u, v, w = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
            x, y, z = x + u, y + v, z + w
            xx, xy, xz = xx + u * u, xy + u * v, xz + u * w
            yy, yz, zz = yy + v * v, yz + v * w, zz + w * w
        n = SPACING_NEIGHBOUR + 1  # the point itself has the offset zero
        normals[i] = _least_eigenvector(
            xx - x * x / n, xy - x * y / n, xz - x * z / n, yy - y * y / n, yz - y * z / n, zz - z * z / n
        )


@numba.njit(cache=True)
def _least_eigenvector(xx: float, xy: float, xz: float, yy: float, yz: float, zz: float) -> tuple[float, float, float]:
    """Of a symmetric 3 x 3 matrix, by Cardano's formula; the z axis where it is not unique.

    It is perpendicular to the rows of A - lambda I, of which two at least are not parallel: the longest cross product.
    LAPACK takes ten times as long.
    """
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    p = math.sqrt((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
    if p == 0:
        return 0.0, 0.0, 1.0
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = math.acos(min(1.0, max(-1.0, determinant / (2 * p * p * p))))
    least = 2 * p * math.cos((angle + 2 * math.pi) / 3)
    a, b, c = a - least, b - least, c - least
    normal = (xy * yz - xz * b, xz * xy - a * yz, a * b - xy * xy)
    longest = normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2
    for other in (
        (xy * c - xz * yz, xz * xz - a * c, a * yz - xy * xz),
        (b * c - yz * yz, yz * xz - xy * c, xy * yz - b * xz),
    ):
        length = other[0] ** 2 + other[1] ** 2 + other[2] ** 2
        if length > longest:
            normal, longest = other, length
    if longest < 1e-24 * p**4:
        return 0.0, 0.0, 1.0
    scale = 1 / math.sqrt(longest)
    return scale * normal[0], scale * normal[1], scale * normal[2]


@numba.njit(parallel=True, cache=True)
def _repel(start: Any, points: Any, normals: Any, idx: Any, support: Any, step: float, limit: Any) -> Any:
    """Axis by axis: an array for each offset would take ten times as long."""
    moved = np.empty_like(points)
    for i in numba.prange(len(points)):
        push = np.zeros(3)
        for j in idx[i]:
            squared = 0.0
            for a in range(3):
                squared += (points[i, a] - points[j, a]) ** 2
            distance = math.sqrt(squared)
            if 0 < distance < support[i]:
                weight = (1 - distance / support[i]) / distance
                for a in range(3):
                    push[a] += weight * (points[i, a] - points[j, a])
        across = 0.0
        for a in range(3):
            across += push[a] * normals[i, a]
        squared = 0.0
        for a in range(3):
            push[a] = points[i, a] + step * support[i] * (push[a] - across * normals[i, a]) - start[i, a]
            squared += push[a] ** 2
        length = math.sqrt(squared)
        shrink = limit[i] / length if length > limit[i] else 1.0
        for a in range(3):
            moved[i, a] = start[i, a] + shrink * push[a]
    return moved
