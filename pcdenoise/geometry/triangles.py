"""Exact distances between points and triangle meshes, in float64.

Both directions walk a bounding-volume hierarchy: a complete binary tree over the items in Morton order, with `_LEAF`
items or less in each leaf and the boxes of the nodes stored level by level, children of `i` at `2 i + 1` and `2 i + 2`.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError
from pcdenoise.geometry.morton import morton_order

_LEAF = 4
_SLIVER = 1e-20  # squared sine of an angle at `a` under which a triangle is no more than its edges


class MeshDistance(NamedTuple):
    """Where a mesh is nearest to each of n points.

    Attributes:
        squared: (n,) squared distances.
        face: (n,) int64, the nearest face; of equally near ones the first.
        closest: (n, 3) the nearest point of that face.
    """

    squared: NDArray[np.float64]
    face: NDArray[np.int64]
    closest: NDArray[np.float64]


def closest_point_on_triangle(
    points: NDArray[Any], a: NDArray[Any], b: NDArray[Any], c: NDArray[Any]
) -> NDArray[np.float64]:
    """The point of triangle `abc` nearest to each point.

    With `n = (b - a) x (c - a)` the foot of `p` on the plane is `u a + v b + w c`, where
    `v = ((p - a) x (c - a)) . n / n.n`, `w = ((b - a) x (p - a)) . n / n.n` and `u = 1 - v - w`. If all three are at
    least 0 it is the answer; if not, the answer is the nearest of the feet on the three edges, clamped to their ends. A
    triangle without area is its edges; one whose corners coincide is a point.

    Args:
        points: (n, 3).
        a, b, c: corners, (n, 3) or (3,).

    Returns:
        (n, 3) float64.
    """
    points, a, b, c = (np.ascontiguousarray(part, np.float64) for part in np.broadcast_arrays(points, a, b, c))
    closest: NDArray[np.float64] = _closest_points(points, np.stack([a, b, c], axis=1))
    return closest


def point_to_mesh(
    points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any], edges_only: NDArray[np.bool_] | None = None
) -> MeshDistance:
    """The point of a mesh nearest to each point.

    Args:
        points: (n, 3), finite.
        vertices: (v, 3), finite.
        faces: (f, 3) vertex indices, at least one face. Degenerate ones are welcome.
        edges_only: (f,) true for faces that count as their three edges, without the inside.

    Raises:
        InputError: no faces, an index outside the vertices, or coordinates not finite.
    """
    points, triangles, outlines, origin = _prepare(points, vertices, faces, edges_only)
    order, lower, upper = _hierarchy(triangles.min(axis=1), triangles.max(axis=1))
    squared, face, closest = _nearest_faces(points, triangles[order], outlines[order], order, lower, upper)
    return MeshDistance(squared, face, closest + origin)


def face_to_point(
    points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any], edges_only: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The squared distance from each face of a mesh to the nearest of the points: (f,) float64.

    Args:
        points: (n, 3), finite, at least one.
        vertices: (v, 3), finite.
        faces: (f, 3) vertex indices.
        edges_only: (f,) true for faces that count as their three edges, without the inside.

    Raises:
        InputError: no points, no faces, an index outside the vertices, or coordinates not finite.
    """
    points, triangles, outlines, _ = _prepare(points, vertices, faces, edges_only)
    if len(points) == 0:
        raise InputError("a cloud without points has no distance; give at least one point")
    order, lower, upper = _hierarchy(points, points)
    squared: NDArray[np.float64] = _nearest_points(points[order], triangles, outlines, lower, upper)
    return squared


def _prepare(
    points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any], edges_only: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Checked points (n, 3) and triangles (f, 3, 3) relative to an origin on the mesh, edge-only flags, the origin."""
    points, vertices, faces = np.asarray(points, np.float64), np.asarray(vertices, np.float64), np.asarray(faces)
    if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0:
        raise InputError(f"faces have shape {faces.shape}; give at least one triangle, (f, 3)")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"faces index vertices {faces.min()} to {faces.max()}, but there are {len(vertices)}")
    if not (np.isfinite(points).all() and np.isfinite(vertices).all()):
        raise InputError("points or vertices are not finite; drop such rows first")
    origin = vertices[faces[0, 0]].copy()
    outlines = np.zeros(len(faces), dtype=np.bool_) if edges_only is None else np.asarray(edges_only, dtype=np.bool_)
    return np.ascontiguousarray(points - origin), (vertices - origin)[faces], outlines, origin


def _hierarchy(
    lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Order of the items (m,) and the boxes of the nodes, two times (2 * leaves - 1, 3), from the items' boxes."""
    leaves = 1 << max(0, int(np.ceil(np.log2(len(lower) / _LEAF))))
    centres = 0.5 * (lower + upper)
    order = morton_order(centres)
    return order, *_boxes(lower[order], upper[order], leaves)


@numba.njit(cache=True)
def _boxes(lower: Any, upper: Any, leaves: int) -> Any:
    nodes = 2 * leaves - 1
    low = np.full((nodes, 3), np.inf)
    high = np.full((nodes, 3), -np.inf)
    for node in range(nodes - 1, -1, -1):
        if node >= leaves - 1:
            first, last = _span(node - leaves + 1, leaves, len(lower))
            for item in range(first, last):
                for axis in range(3):
                    low[node, axis] = min(low[node, axis], lower[item, axis])
                    high[node, axis] = max(high[node, axis], upper[item, axis])
        else:
            for axis in range(3):
                low[node, axis] = min(low[2 * node + 1, axis], low[2 * node + 2, axis])
                high[node, axis] = max(high[2 * node + 1, axis], high[2 * node + 2, axis])
    return low, high


@numba.njit(cache=True)
def _span(leaf: int, leaves: int, items: int) -> Any:
    """The items of a leaf, from first to before last: spread evenly, so that one may be empty in tiny trees only."""
    return leaf * items // leaves, (leaf + 1) * items // leaves


@numba.njit(cache=True)
def _to_segment(p: Any, a: Any, b: Any) -> Any:
    """Squared distance from `p` to the segment `ab`, and the nearest point."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    length = ux * ux + uy * uy + uz * uz
    along = 0.0
    if length > 0:
        along = ((p[0] - a[0]) * ux + (p[1] - a[1]) * uy + (p[2] - a[2]) * uz) / length
        along = min(1.0, max(0.0, along))
    x, y, z = a[0] + along * ux, a[1] + along * uy, a[2] + along * uz
    return (p[0] - x) ** 2 + (p[1] - y) ** 2 + (p[2] - z) ** 2, x, y, z


@numba.njit(cache=True)
def _to_triangle(p: Any, triangle: Any, outline: bool) -> Any:
    """Squared distance from `p` to a triangle (3, 3) or to its edges alone, and the nearest point."""
    a, b, c = triangle[0], triangle[1], triangle[2]
    if not outline:
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        area = nx * nx + ny * ny + nz * nz
        if area > _SLIVER * (ux * ux + uy * uy + uz * uz) * (vx * vx + vy * vy + vz * vz):
            px, py, pz = p[0] - a[0], p[1] - a[1], p[2] - a[2]
            v = (py * vz - pz * vy) * nx + (pz * vx - px * vz) * ny + (px * vy - py * vx) * nz
            w = (uy * pz - uz * py) * nx + (uz * px - ux * pz) * ny + (ux * py - uy * px) * nz
            if v >= 0 and w >= 0 and v + w <= area:
                v, w = v / area, w / area
                x, y, z = a[0] + v * ux + w * vx, a[1] + v * uy + w * vy, a[2] + v * uz + w * vz
                height = px * nx + py * ny + pz * nz
                return height * height / area, x, y, z
    best = _to_segment(p, a, b)
    other = _to_segment(p, b, c)
    if other[0] < best[0]:
        best = other
    other = _to_segment(p, c, a)
    if other[0] < best[0]:
        best = other
    return best


@numba.njit(cache=True, parallel=True)
def _closest_points(points: Any, triangles: Any) -> Any:
    closest = np.empty_like(points)
    for i in numba.prange(len(points)):
        _, closest[i, 0], closest[i, 1], closest[i, 2] = _to_triangle(points[i], triangles[i], False)
    return closest


@numba.njit(cache=True)
def _to_box(p: Any, low: Any, high: Any) -> float:
    """Squared distance from `p` to a box; infinite for the empty one."""
    squared = 0.0
    for axis in range(3):
        outside = max(low[axis] - p[axis], p[axis] - high[axis], 0.0)
        squared += outside * outside
    return squared


@numba.njit(cache=True, parallel=True)
def _nearest_faces(points: Any, triangles: Any, outlines: Any, order: Any, low: Any, high: Any) -> Any:
    """For each point its nearest triangle; triangles and outlines come in the `order` of the leaves."""
    leaves = (len(low) + 1) // 2
    squared = np.empty(len(points))
    face = np.empty(len(points), dtype=np.int64)
    closest = np.empty_like(points)
    for i in numba.prange(len(points)):
        nodes = np.empty(64, dtype=np.int64)
        bounds = np.empty(64)
        nodes[0], bounds[0], size = 0, 0.0, 1
        p = points[i]
        best, winner, x, y, z = np.inf, -1, 0.0, 0.0, 0.0
        while size > 0:
            size -= 1
            node = nodes[size]
            if bounds[size] > best:
                continue
            if node >= leaves - 1:
                first, last = _span(node - leaves + 1, leaves, len(triangles))
                for item in range(first, last):
                    d, cx, cy, cz = _to_triangle(p, triangles[item], outlines[item])
                    if d < best or (d == best and order[item] < winner):
                        best, winner, x, y, z = d, order[item], cx, cy, cz
                continue
            left, right = 2 * node + 1, 2 * node + 2
            near, far = _to_box(p, low[left], high[left]), _to_box(p, low[right], high[right])
            if near > far:
                left, right, near, far = right, left, far, near
            nodes[size], bounds[size] = right, far
            nodes[size + 1], bounds[size + 1] = left, near
            size += 2
        squared[i], face[i] = best, winner
        closest[i, 0], closest[i, 1], closest[i, 2] = x, y, z
    return squared, face, closest


@numba.njit(cache=True)
def _between_boxes(low: Any, high: Any, other_low: Any, other_high: Any) -> float:
    """Squared distance between two boxes; infinite if one is empty."""
    squared = 0.0
    for axis in range(3):
        apart = max(low[axis] - other_high[axis], other_low[axis] - high[axis], 0.0)
        squared += apart * apart
    return squared


@numba.njit(cache=True)
def _sphere_bound(triangle: Any, outline: bool, low: Any, high: Any) -> float:
    """A lower bound of the squared distance from a triangle to what a box holds: that to the sphere around the box."""
    centre = 0.5 * (low + high)
    radius = 0.5 * np.sqrt((high[0] - low[0]) ** 2 + (high[1] - low[1]) ** 2 + (high[2] - low[2]) ** 2)
    gap = np.sqrt(_to_triangle(centre, triangle, outline)[0]) - radius
    return float(gap * gap if gap > 0 else 0.0)


@numba.njit(cache=True, parallel=True)
def _nearest_points(points: Any, triangles: Any, outlines: Any, low: Any, high: Any) -> Any:
    """For each triangle the squared distance to its nearest point; points come in the order of the leaves."""
    leaves = (len(low) + 1) // 2
    squared = np.empty(len(triangles))
    for i in numba.prange(len(triangles)):
        nodes = np.empty(64, dtype=np.int64)
        bounds = np.empty(64)
        nodes[0], bounds[0], size = 0, 0.0, 1
        triangle, outline = triangles[i], outlines[i]
        corner_low = np.minimum(np.minimum(triangle[0], triangle[1]), triangle[2])
        corner_high = np.maximum(np.maximum(triangle[0], triangle[1]), triangle[2])
        middle = (triangle[0] + triangle[1] + triangle[2]) / 3
        best = np.inf
        while size > 0:
            size -= 1
            node = nodes[size]
            if bounds[size] >= best:
                continue
            if node >= leaves - 1:
                first, last = _span(node - leaves + 1, leaves, len(points))
                for item in range(first, last):
                    best = min(best, _to_triangle(points[item], triangle, outline)[0])
                continue
            # boxes first, which is cheap; then, where the triangle is large and oblique, the sphere around the node
            if bounds[size] == 0 and best < np.inf and _sphere_bound(triangle, outline, low[node], high[node]) >= best:
                continue
            near, far = 2 * node + 1, 2 * node + 2
            if _to_box(middle, low[near], high[near]) > _to_box(middle, low[far], high[far]):
                near, far = far, near
            nodes[size], bounds[size] = far, _between_boxes(corner_low, corner_high, low[far], high[far])
            nodes[size + 1], bounds[size + 1] = near, _between_boxes(corner_low, corner_high, low[near], high[near])
            size += 2
        squared[i] = best
    return squared
