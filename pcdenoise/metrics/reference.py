"""The surface a result should lie on: how far off its points are, on which side, and near what."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.normals import plane_normals
from pcdenoise.geometry.triangles import point_to_mesh

SHARP = 30.0  # degrees between the normals of two faces
BAND = 0.03  # R
THICKNESS = 0.1  # R
_FLIPPED = 0.01  # share of edges whose faces may disagree on a side of a surface that still has sides
_ON = 1e-9  # R: nearer than this to an edge or corner is on it
_SKIN = 1e-4  # R: how far from the surface a ray starts, lest it hits where it comes from
_FACING = -0.5  # cosine between the normals of two sheets back to back


class Nearest(NamedTuple):
    """Where a reference surface is nearest to each of n points.

    Attributes:
        signed: (n,) distances in R, above 0 on the side the normals point to.
        normal: (n, 3) unit normals of the surface there.
        foot: (n, 3) the places themselves, in the unit-sphere frame.
    """

    signed: NDArray[np.float64]
    normal: NDArray[np.float64]
    foot: NDArray[np.float64]


class Regions(NamedTuple):
    """Where on a mesh each of n points is nearest to it; each is in one region.

    Attributes:
        edge: (n,) within BAND of an edge between faces whose normals are SHARP or more apart.
        thin: (n,) of the others, those where another sheet lies back to back within THICKNESS: behind a wall, or
            across a gap.
        smooth: (n,) the rest.
    """

    edge: NDArray[np.bool_]
    thin: NDArray[np.bool_]
    smooth: NDArray[np.bool_]


class CloudSurface:
    """The tangent planes of a clean cloud: `signed = (x - y) . N(y)` with `y` the clean point nearest to `x`.

    Attributes:
        oriented: the normals came with the cloud, and so have sides.
    """

    def __init__(self, points: NDArray[Any], normals: NDArray[Any] | None = None) -> None:
        """From points (m, 3) and normals (m, 3) of any length; where there are none they are fitted, without sides."""
        self._frame = Frame.unit_sphere(points)
        self._points = self._frame.to_local(points)
        self.oriented = False
        if normals is not None:
            normals = np.asarray(normals, dtype=np.float64)
            lengths = np.linalg.norm(normals, axis=1, keepdims=True)
            self.oriented = bool((np.isfinite(lengths) & (lengths > 0)).all())
        self._normals = normals / lengths if self.oriented else plane_normals(self._points)

    def nearest(self, points: NDArray[Any]) -> Nearest:
        """Where the surface is nearest to each of the points (n, 3), in the unit of the cloud."""
        local = self._frame.to_local(points)
        nearest = knn(self._points, 1, local)[1][:, 0]
        normal = self._normals[nearest]
        signed = np.einsum("ni,ni->n", local - self._points[nearest], normal)
        return Nearest(signed, normal, local - signed[:, None] * normal)


class MeshSurface:
    """A triangle mesh, open or closed; vertices at the same place are one.

    The side is that of the angle-weighted pseudonormal of the face, edge or corner a point is nearest to (Baerentzen
    and Aanaes, "Signed distance computation using the angle weighted pseudonormal", TVCG 2005), which is right where
    face normals are not. On a closed mesh the outside is above 0, whichever way its faces turn.

    Attributes:
        oriented: neighbouring faces agree on the side, so that there is one.
    """

    def __init__(self, vertices: NDArray[Any], faces: NDArray[Any]) -> None:
        """From vertices (v, 3) and faces (f, 3); raises InputError where `point_to_mesh` does."""
        point_to_mesh(vertices[:1], vertices, faces)  # says what is wrong with a mesh
        self._frame = Frame.unit_sphere(vertices)
        self._vertices, index = np.unique(self._frame.to_local(vertices), axis=0, return_inverse=True)
        self._faces = index.reshape(-1)[np.asarray(faces)]
        self._corners = self._vertices[self._faces]
        a, b, c = np.moveaxis(self._corners, 1, 0)
        normals = _unit(np.cross(b - a, c - a))

        # three half-edges a face, the i-th from corner i to the next
        half = np.stack([self._faces, np.roll(self._faces, -1, axis=1)], axis=2).reshape(-1, 2)
        _, edge, faces_at = np.unique(np.sort(half, axis=1), axis=0, return_inverse=True, return_counts=True)
        edge = edge.reshape(-1)
        pairs = np.argsort(edge, kind="stable")[np.repeat(faces_at == 2, faces_at)].reshape(-1, 2)
        flipped = (half[pairs[:, 0]] == half[pairs[:, 1]]).all(axis=1)
        one, other = normals[pairs[:, 0] // 3], normals[pairs[:, 1] // 3]
        cosine = np.einsum("ei,ei->e", one, np.where(flipped[:, None], -other, other))
        proper = one.any(axis=1) & other.any(axis=1)
        self._sharp_edges = half[pairs[proper & (cosine < np.cos(np.radians(SHARP))), 0]]
        self.oriented = bool(flipped.sum() <= _FLIPPED * len(flipped))

        inward = self.oriented and (faces_at == 2).all() and np.einsum("fi,fi->", a, np.cross(b, c)) < 0
        self._normals = self._pseudonormals(-normals if inward else normals, edge)

    def _pseudonormals(self, normals: NDArray[np.float64], edge: NDArray[np.int64]) -> NDArray[np.float64]:
        """(f, 7, 3) of each face: its own, those of its edges, those of its corners; from `edge` of each half-edge."""
        along = _unit(np.roll(self._corners, -1, axis=1) - self._corners)
        angles = np.arccos(np.clip(-np.einsum("fci,fci->fc", along, np.roll(along, 1, axis=1)), -1.0, 1.0))
        at_edge, at_corner = np.zeros((edge.max() + 1, 3)), np.zeros_like(self._vertices)
        np.add.at(at_edge, edge, np.repeat(normals, 3, axis=0))
        np.add.at(at_corner, self._faces, angles[:, :, None] * normals[:, None])
        of_edges, of_corners = at_edge[edge].reshape(-1, 3, 3), at_corner[self._faces]
        return _unit(np.concatenate([normals[:, None], of_edges, of_corners], axis=1))

    def nearest(self, points: NDArray[Any]) -> Nearest:
        """Where the surface is nearest to each of the points (n, 3), in the unit of the mesh."""
        local = self._frame.to_local(points)
        found = point_to_mesh(local, self._vertices, self._faces)
        away = found.closest[:, None] - self._corners[found.face]
        along = _unit(np.roll(self._corners[found.face], -1, axis=1) - self._corners[found.face])
        feature = np.zeros(len(local), dtype=np.int64)
        for i in range(3):
            feature[np.linalg.norm(np.cross(away[:, i], along[:, i]), axis=1) < _ON] = 1 + i
        for i in range(3):
            feature[np.linalg.norm(away[:, i], axis=1) < _ON] = 4 + i
        normal = self._normals[found.face, feature]
        outside = np.einsum("ni,ni->n", local - found.closest, normal) >= 0
        return Nearest(np.sqrt(found.squared) * np.where(outside, 1.0, -1.0), normal, found.closest)

    def regions(self, nearest: Nearest) -> Regions:
        """Which of the places that `nearest` found are near sharp edges, on thin parts or in smooth areas."""
        edge = self._near_sharp_edge(nearest.foot)
        thin = self._thin(nearest) & ~edge
        return Regions(edge, thin, ~(edge | thin))

    def _near_sharp_edge(self, feet: NDArray[np.float64]) -> NDArray[np.bool_]:
        if len(self._sharp_edges) == 0:
            return np.zeros(len(feet), dtype=np.bool_)
        segments = self._sharp_edges[:, [0, 1, 1]]  # a triangle without area is its edges
        return np.asarray(point_to_mesh(feet, self._vertices, segments).squared <= BAND**2)

    def _thin(self, nearest: Nearest) -> NDArray[np.bool_]:
        """Rays along the normal and against it look for a face whose normal differs by more than 120 degrees."""
        open3d = _open3d()
        found = np.zeros(len(nearest.foot), dtype=np.bool_)
        for direction in (nearest.normal, -nearest.normal):
            rays = np.concatenate([nearest.foot + _SKIN * direction, direction], axis=1).astype(np.float32)
            hits = self._scene.cast_rays(open3d.core.Tensor(rays))
            face, depth = (hits[key].numpy() for key in ("primitive_ids", "t_hit"))
            hit = depth <= THICKNESS
            facing = np.einsum("ni,ni->n", self._normals[np.where(hit, face, 0), 0], nearest.normal)
            found |= hit & ((facing if self.oriented else -np.abs(facing)) < _FACING)
        return found

    @cached_property
    def _scene(self) -> Any:
        open3d = _open3d()
        scene = open3d.t.geometry.RaycastingScene()
        vertices, faces = self._vertices.astype(np.float32), self._faces.astype(np.uint32)
        scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(faces))
        return scene


def _open3d() -> Any:
    import open3d

    return open3d


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors (..., 3) of length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
