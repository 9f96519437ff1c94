"""The published convention, computed by the library that the published figures were computed with.

`chamfer_distance` and `point_to_mesh_distance` give the same numbers without it, in float64; this is the check.
"""

import importlib
import importlib.util
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.point_to_mesh import FAMILY_B, PointToMeshDistance

INSTALL = "pip install --no-build-isolation 'git+https://github.com/facebookresearch/pytorch3d.git@stable'"


def chamfer_distance(result: NDArray[Any], clean: NDArray[Any]) -> float:
    """`pcdenoise.metrics.chamfer.chamfer_distance` by `pytorch3d.loss.chamfer_distance`, in float32.

    Raises:
        UsageError: pytorch3d is not installed.
    """
    loss = _module("pytorch3d.loss")
    frame = Frame.unit_sphere(clean)
    distance, _ = loss.chamfer_distance(_tensor(frame.to_local(result))[None], _tensor(frame.to_local(clean))[None])
    return float(distance)


def point_to_mesh_distance(
    result: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any], min_triangle_area: float = 0.0
) -> PointToMeshDistance:
    """`pcdenoise.metrics.point_to_mesh.point_to_mesh_distance` by the two parts of
    `pytorch3d.loss.point_mesh_face_distance`, in float32.

    pytorch3d looks at every pair of point and face. Where it divides by a squared area it adds 1e-8, which makes the
    points' part about 3e-5 of itself smaller than the exact one on a sphere of 20,000 faces.

    Raises:
        UsageError: pytorch3d is not installed.
    """
    loss = _module("pytorch3d.loss.point_mesh_distance")
    frame = Frame.unit_sphere(vertices)
    points, corners = _tensor(frame.to_local(result)), _tensor(frame.to_local(vertices)[np.asarray(faces)])
    start = torch.zeros(1, dtype=torch.int64)  # of the first and only cloud and mesh of a batch
    there = loss.point_face_distance(points, start, corners, start, len(points), min_triangle_area)
    back = loss.face_point_distance(points, start, corners, start, len(corners), min_triangle_area)
    return PointToMeshDistance(float(there.double().mean()), float(back.double().mean()))


def published(pair: Comparison) -> dict[str, float]:
    """Chamfer distance and, with a mesh, both families of P2M, by their names in `METRICS` and times 1e4."""
    numbers = {"chamfer": chamfer_distance(pair.result, pair.clean)}
    if pair.mesh is not None:
        for suffix, area in (("", 0.0), ("_family_b", FAMILY_B)):
            distance = point_to_mesh_distance(pair.result, *pair.mesh, min_triangle_area=area)
            numbers[f"p2m{suffix}"] = distance.total
            numbers[f"point_to_face{suffix}"] = distance.point_to_face
            numbers[f"face_to_point{suffix}"] = distance.face_to_point
    return {name: 1e4 * number for name, number in numbers.items()}


def check_installed() -> None:
    """Raises UsageError, with what to do, where pytorch3d is missing."""
    if importlib.util.find_spec("pytorch3d") is None:
        raise UsageError(f"pytorch3d is not installed; {INSTALL}, or leave the backend at exact")


def _module(name: str) -> Any:
    check_installed()
    return importlib.import_module(name)


def _tensor(array: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))
