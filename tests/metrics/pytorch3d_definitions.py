"""What pytorch3d documents for its distances, pair by pair in float64: the reference of fast code."""

import numpy as np
from scipy.spatial.distance import cdist


def chamfer(x, y):
    """`pytorch3d.loss.chamfer_distance` with its defaults, one cloud a batch."""
    squared = cdist(x, y, "sqeuclidean")
    return squared.min(axis=1).mean() + squared.min(axis=0).mean()


def point_mesh_face(points, vertices, faces, min_triangle_area):
    """The two parts of `pytorch3d.loss.point_mesh_face_distance`: point to face, face to point."""
    squared = np.stack([to_triangle(points, *vertices[face], min_triangle_area) for face in faces], axis=1)
    return squared.min(axis=1).mean(), squared.min(axis=0).mean()


def to_triangle(p, v0, v1, v2, min_triangle_area):
    """Squared distance to the foot on the plane, if that is inside and the area large; to the nearest edge if not."""
    edges = np.minimum.reduce([to_segment(p, v0, v1), to_segment(p, v0, v2), to_segment(p, v1, v2)])
    normal = np.cross(v2 - v0, v1 - v0)
    area = np.linalg.norm(normal) / 2
    if area < min_triangle_area or area == 0:
        return edges
    height = (v0 - p) @ normal / (2 * area)
    foot = p + height[:, None] * normal / (2 * area)
    (w1, w2), *_ = np.linalg.lstsq(np.stack([v1 - v0, v2 - v0], axis=1), (foot - v0).T, rcond=None)
    inside = (w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)
    return np.where(inside, height**2, edges)


def to_segment(p, v0, v1):
    """Squared distance to a segment, which may be a point."""
    along = (p - v0) @ (v1 - v0) / max((v1 - v0) @ (v1 - v0), 1e-300)
    return ((p - v0 - along.clip(0, 1)[:, None] * (v1 - v0)) ** 2).sum(axis=1)
