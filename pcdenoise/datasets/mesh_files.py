"""Triangle meshes from files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError

MESH_SUFFIXES = (".off", ".obj", ".ply", ".stl")


def read_mesh(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (v, 3) and triangles (f, 3) of a mesh file; polygons are cut into triangles, scenes are merged.

    Raises:
        InputError: the file is missing, unreadable or has no faces.
    """
    mesh = find_mesh(path)
    if mesh is None:
        raise InputError(f"{path} has no faces; repair or remove it")
    return mesh


def find_mesh(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """As `read_mesh`, or None for a file of points only.

    Raises:
        InputError: the file is missing or unreadable, or coordinates are not finite.
    """
    import trimesh

    try:
        mesh: Any = trimesh.load(path, force="mesh", process=False)
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except Exception as error:
        raise InputError(f"cannot read the mesh {path}: {error}; repair or remove it") from error
    if len(faces) == 0:
        return None
    if not np.isfinite(vertices).all():
        raise InputError(f"{path} has coordinates that are not finite; repair or remove it")
    # a cloud in an STL file has a facet without area for each point
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    return (vertices, faces) if np.cross(b - a, c - a).any() else None
