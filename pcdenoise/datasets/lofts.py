"""Closed triangle meshes built directly, for parts too thin for a grid: prisms, lathed parts, shells, hulls."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from pcdenoise.datasets.contouring import Mesh
from pcdenoise.errors import InputError


def triangulate_polygon(polygon: NDArray[np.float64]) -> NDArray[np.int64]:
    """Ear clipping (Meisters 1975) of a simple counter-clockwise polygon (m, 2) into m - 2 triangles.

    Of the convex corners whose triangle holds no other corner, the one with the shortest new edge is cut first.

    Raises:
        InputError: the polygon crosses itself or runs clockwise.
    """
    left, triangles = list(range(len(polygon))), []
    while len(left) > 3:
        corners = polygon[left]
        before, after = np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)
        turn = _cross(corners - before, after - corners)
        lengths = np.where(turn > 1e-12, np.linalg.norm(after - before, axis=1), np.inf)
        for i in np.argsort(lengths, kind="stable"):
            if not np.isfinite(lengths[i]):
                raise InputError("the polygon cannot be triangulated; give a simple counter-clockwise one")
            a, b, c = before[i], corners[i], after[i]
            holds = (
                (_cross(b - a, corners - a) >= 0)
                & (_cross(c - b, corners - b) >= 0)
                & (_cross(a - c, corners - c) >= 0)
            )
            holds[[i - 1, i, (i + 1) % len(left)]] = False
            if not holds.any():
                triangles.append([left[i - 1], left[i], left[(i + 1) % len(left)]])
                del left[i]
                break
        else:
            raise InputError("the polygon cannot be triangulated; give a simple counter-clockwise one")
    return np.array([*triangles, left], dtype=np.int64)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def loft(rings: NDArray[np.float64], cap: NDArray[np.int64] | None) -> Mesh:
    """Join r rings of m points (r, m, 3), each to the next.

    Args:
        rings: (r, m, 3), counter-clockwise when seen from the last ring back to the first.
        cap: (t, 3) triangles of ring indices that close both ends; None joins the last ring to the first.
    """
    count, size = rings.shape[:2]
    index = np.arange(count * size).reshape(count, size)
    lower, upper = (index, np.roll(index, -1, axis=0)) if cap is None else (index[:-1], index[1:])
    a, b = lower.ravel(), np.roll(lower, -1, axis=1).ravel()
    c, d = np.roll(upper, -1, axis=1).ravel(), upper.ravel()
    faces = [np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]
    if cap is not None:
        faces += [index[0][cap[:, ::-1]], index[-1][cap]]
    return rings.reshape(-1, 3), np.concatenate(faces)


def extruded(
    profile: NDArray[np.float64], heights: NDArray[np.float64], scales: NDArray[np.float64], twists: NDArray[np.float64]
) -> Mesh:
    """A simple counter-clockwise profile (m, 2) at heights (r,), scaled by scales (r,), turned by twists (r,) [rad]."""
    c, s = np.cos(twists)[:, None], np.sin(twists)[:, None]
    x, y = profile[:, 0], profile[:, 1]
    flat = np.stack([c * x - s * y, s * x + c * y], axis=2) * scales[:, None, None]
    z = np.broadcast_to(heights[:, None, None], (len(heights), len(profile), 1))
    return loft(np.concatenate([flat, z], axis=2), triangulate_polygon(profile))


def lathed(profile: NDArray[np.float64], segments: int, closed: bool) -> Mesh:
    """A profile (m, 2) of (radius > 0, height) turned about the z axis.

    Args:
        profile: counter-clockwise in the (radius, height) plane: outer side upwards.
        segments: number of steps of a turn.
        closed: the profile is a polygon (the result is a ring); otherwise its two ends are closed with flat discs.
    """
    angles = 2 * np.pi * np.arange(segments) / segments
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    heights = np.broadcast_to(profile[:, None, 1:], (len(profile), segments, 1))
    rings = np.concatenate([profile[:, :1, None] * circle, heights], axis=2)
    return loft(rings, None if closed else triangulate_polygon(circle))


def slab(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> Mesh:
    """A thin shell between two grids of points (m, k, 3), with walls along the rim."""
    m, k = upper.shape[:2]
    index = np.arange(m * k).reshape(m, k)
    a, b, c, d = (g.ravel() for g in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    top = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    rim = np.concatenate([index[:-1, 0], index[-1, :-1], index[:0:-1, -1], index[0, :0:-1]])
    onward = np.roll(rim, -1)
    below = m * k
    walls = [np.stack([onward, rim, rim + below], axis=1), np.stack([onward, rim + below, onward + below], axis=1)]
    vertices = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    return vertices, np.concatenate([top, top[:, ::-1] + below, *walls])


def hull(points: NDArray[np.float64]) -> Mesh:
    """The convex hull of points (n, 3)."""
    found = ConvexHull(points)
    names = np.full(len(points), -1)
    names[found.vertices] = np.arange(len(found.vertices))
    corners = points[found.simplices]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = np.einsum("ij,ij->i", normal, found.equations[:, :3]) < 0
    faces = np.where(inward[:, None], found.simplices[:, ::-1], found.simplices)
    return points[found.vertices], names[faces]


def joined(*meshes: Mesh) -> Mesh:
    """Several meshes as one, without any welding."""
    offsets = np.cumsum([0] + [len(vertices) for vertices, _ in meshes[:-1]])
    faces = [faces + offset for (_, faces), offset in zip(meshes, offsets, strict=True)]
    return np.concatenate([vertices for vertices, _ in meshes]), np.concatenate(faces)


def subdivided(mesh: Mesh, least: int) -> Mesh:
    """Cut triangles into four at their edge midpoints until there are at least `least`; the surface stays the same."""
    vertices, faces = mesh
    while len(faces) < least:
        edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = (inverse.reshape(-1, 3) + len(vertices)).T
        a, b, c = faces.T
        vertices = np.concatenate([vertices, vertices[unique].mean(axis=1)])
        faces = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return vertices, faces
