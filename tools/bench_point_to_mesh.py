"""Time exact point-to-mesh distances: the package's own hierarchy beside libraries, in one run.

    python tools/bench_point_to_mesh.py

open3d comes with the package; libigl and point-cloud-utils take part where they are installed. The mesh is a torus, the
points lie on it with Gaussian noise of 1 % of its radius, single precision is marked by its deviation.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numba
import numpy as np
import trimesh
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pcdenoise.geometry.sampling import uniform
from pcdenoise.geometry.triangles import face_to_point, point_to_mesh

Distances = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]]
"""Points (n, 3), vertices (v, 3), faces (f, 3) -> distances (n,) from point to face."""

SIZES = ((10_000, (100, 100), 7), (1_000_000, (250, 200), 1))
"""Points, sections of the torus (2 faces each), timed repeats after one to warm up."""


def ours(points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[Any]:
    """float64, hierarchy and queries."""
    return np.sqrt(point_to_mesh(points, vertices, faces).squared)


def open3d(points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[Any]:
    """RaycastingScene (Embree), float32."""
    o3d: Any = import_module("open3d")
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(faces.astype(np.uint32)))
    return np.asarray(scene.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy())


def libigl(points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[Any]:
    """AABB tree, float64."""
    return np.asarray(import_module("igl").point_mesh_squared_distance(points, vertices, faces)[0]) ** 0.5


def point_cloud_utils(points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[Any]:
    """libigl's tree under another roof, float64."""
    return np.asarray(import_module("point_cloud_utils").closest_points_on_mesh(points, vertices, faces)[0])


LIBRARIES: dict[str, tuple[str, Distances]] = {
    "open3d RaycastingScene": ("open3d", open3d),
    "libigl": ("igl", libigl),
    "point-cloud-utils": ("point_cloud_utils", point_cloud_utils),
}


OURS: dict[str, Callable[..., object]] = {
    "ours, point to face": point_to_mesh,
    "ours, face to point": face_to_point,
}


def seconds(call: Callable[..., object], *arguments: NDArray[Any], repeats: int) -> float:
    """Median time of a call, after one to warm up."""
    call(*arguments)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call(*arguments)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def main() -> None:
    """Measure and print."""
    console = Console()
    rng = np.random.default_rng(0)
    for count, (major, minor), repeats in SIZES:
        torus = trimesh.creation.torus(0.7, 0.3, major_sections=major, minor_sections=minor)
        vertices, faces = np.asarray(torus.vertices, np.float64), np.asarray(torus.faces, np.int64)
        points = uniform(vertices, faces, count, rng)[0] + 0.01 * rng.standard_normal((count, 3))
        machine = f"{numba.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f} before"
        table = Table(title=f"{count:,} points, {len(faces):,} faces, {machine}")
        for title in ("", "seconds", "largest deviation"):
            table.add_column(title, justify="right" if title else "left")
        for name, call in OURS.items():
            table.add_row(name, f"{seconds(call, points, vertices, faces, repeats=repeats):.3f}", "")
            small = np.ones(len(faces), dtype=np.bool_)  # family B on a fine mesh: edges only
            table.add_row(f"{name}, family B", f"{seconds(call, points, vertices, faces, small, repeats=repeats):.3f}")
        exact = ours(points, vertices, faces)
        for name, (module, library) in LIBRARIES.items():
            if find_spec(module) is None:
                console.print(f"{name} is not installed, left out", highlight=False)
                continue
            error = np.abs(library(points, vertices, faces) - exact).max()
            passed = seconds(library, points, vertices, faces, repeats=repeats)
            table.add_row(f"{name}, point to face", f"{passed:.3f}", f"{error:.0e}")
        console.print(table)


if __name__ == "__main__":
    main()
