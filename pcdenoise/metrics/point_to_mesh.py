"""Point-to-mesh distance, as the denoising literature reports it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.triangles import face_to_point, point_to_mesh

if TYPE_CHECKING:
    from pcdenoise.metrics.comparison import Comparison

FAMILY_B = 5e-3  # R^2: pytorch3d's default since 0.6.2


@dataclass(frozen=True)
class PointToMeshDistance:
    """Mean squared distances in squared radii of the mesh; tables multiply them by 1e4.

    Attributes:
        point_to_face: from each point to the mesh, mean over the points.
        face_to_point: from each face to the cloud, mean over the faces.
    """

    point_to_face: float
    face_to_point: float

    @property
    def total(self) -> float:
        """The sum of both, which papers call P2M."""
        return self.point_to_face + self.face_to_point


def point_to_mesh_distance(
    result: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any], min_triangle_area: float = 0.0
) -> PointToMeshDistance:
    """How far a cloud is from the surface it should lie on, and the surface from the cloud.

    With `X` the result and `F` the faces, both in the unit-sphere frame of the mesh's vertices (centre: midpoint of
    their bounding box; scale: largest distance of a vertex from there),

        P2M = 1/|X| sum_x min_f d(x, f)^2  +  1/|F| sum_f min_x d(x, f)^2

    The convention is that of Luo and Hu, "Score-Based Point Cloud Denoising" (ICCV 2021). Published figures come in two
    families, which must not be compared. Family A measures to whole triangles. Family B uses pytorch3d's default since
    0.6.2, `min_triangle_area=5e-3`: a triangle of less area in the unit-sphere frame counts as its three edges, so that
    on a fine mesh even points on the surface are at a distance from it. The mesh may be open.

    Args:
        result: (n, 3), at least one point, finite.
        vertices: (v, 3), finite, at least two different ones.
        faces: (f, 3) vertex indices, at least one face.
        min_triangle_area: 0 for family A, 5e-3 for family B.

    Raises:
        InputError: the cloud is empty or not finite, or the mesh is not one.
    """
    if len(result) == 0 or not np.isfinite(result).all():
        raise InputError("the result is empty or holds NaN or infinity; give finite points only")
    if not min_triangle_area >= 0:
        raise InputError(f"min_triangle_area is an area, not {min_triangle_area}; 0 measures to whole triangles")
    frame = Frame.unit_sphere(vertices)
    points, corners, faces = frame.to_local(result), frame.to_local(vertices), np.asarray(faces)
    edges_only = None
    if min_triangle_area > 0:
        a, b, c = np.moveaxis(corners[faces], 1, 0)
        edges_only = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1) < min_triangle_area
    return PointToMeshDistance(
        point_to_face=float(np.mean(point_to_mesh(points, corners, faces, edges_only).squared)),
        face_to_point=float(np.mean(face_to_point(points, corners, faces, edges_only))),
    )


def p2m(
    pair: "Comparison",
    part: Literal["total", "point_to_face", "face_to_point"] = "total",
    family: Literal["A", "B"] = "A",
) -> float:
    """`point_to_mesh_distance` of a pair, in R^2 of the mesh: `total` is what papers call P2M.

    The points' part is what a denoiser can be blamed for. The faces' part measures the tessellation and the sampling as
    much: a perfect cloud of finitely many points is at a distance from each small face, and where a mesh is fine its
    faces count more.
    """
    distance = pair.family_a if family == "A" else pair.family_b
    return float(getattr(distance, part))
