"""The layout in which the field passes around the PU-Net shapes (Yu et al., CVPR 2018; Luo and Hu, ICCV 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.datasets.folder import read_mesh
from pcdenoise.datasets.surfaces import RESOLUTIONS, Cloud, Progress, Surface, cached, content_hash
from pcdenoise.datasets.unit_sphere import bounding_sphere
from pcdenoise.errors import InputError
from pcdenoise.geometry.triangles import point_to_mesh

NEIGHBOURS = 16


@dataclass(frozen=True)
class PUNet:
    """Clean clouds, and meshes where there are some, from

        root/pointclouds/<split>/<resolution>_poisson/<name>.xyz
        root/meshes/<split>/<name>.off

    Clouds and mesh of a shape are normalised together, by the mesh where there is one, else by the densest cloud.
    Normals are those of the nearest face; without a mesh, of a plane through 16 neighbours (away from the centre).

    Attributes:
        root: the folder.
        split: `train` or `test`.
        resolutions: numbers of points; each shape must have them all.
        meshes: keep the meshes with the clouds.
        cache_dir: folder for the result; None reads the files each time.
    """

    root: str | Path
    split: str = "train"
    resolutions: Sequence[int] = RESOLUTIONS
    meshes: bool = False
    cache_dir: str | Path | None = None

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """The shapes in the order of their names.

        Raises:
            InputError: a folder or file is missing or unreadable, or a mesh does not lie where its clouds are.
        """
        resolutions = [int(n) for n in self.resolutions]
        clouds = self._find_clouds(resolutions)
        meshes = {path.stem: path for path in sorted((Path(self.root) / "meshes" / self.split).glob("*.off"))}

        def build() -> list[Surface]:
            built = []
            for name, paths in clouds.items():
                points = {n: _read_xyz(path) for n, path in paths.items()}
                mesh = read_mesh(meshes[name]) if name in meshes else None
                built.append(_surface(name, points, mesh, self.meshes))
                if progress:
                    progress(len(built), len(clouds), name)
            return built

        parameters = {
            "source": "pu_net",
            "clouds": {name: {n: content_hash(path) for n, path in paths.items()} for name, paths in clouds.items()},
            "files": {name: content_hash(path) for name, path in meshes.items() if name in clouds},
            "meshes": self.meshes,
        }
        return cached(parameters, self.cache_dir, build)

    def _find_clouds(self, resolutions: list[int]) -> dict[str, dict[int, Path]]:
        """name -> number of points -> file, complete."""
        base = Path(self.root) / "pointclouds" / self.split
        if not base.is_dir():
            raise InputError(
                f"there is no folder {base}; expected <root>/pointclouds/<split>/<resolution>_poisson/<name>.xyz"
            )
        present = sorted(int(p.name.removesuffix("_poisson")) for p in base.glob("[0-9]*_poisson"))
        absent = [n for n in resolutions if n not in present]
        if absent:
            raise InputError(
                f"{base} has no folder {absent[0]}_poisson; give resolutions from {present or 'a complete download'}"
            )
        files = {n: {path.stem: path for path in sorted((base / f"{n}_poisson").glob("*.xyz"))} for n in resolutions}
        names = sorted(set().union(*files.values()))
        if not names:
            raise InputError(f"{base} holds no .xyz files; expected <resolution>_poisson/<name>.xyz in it")
        for n in resolutions:
            for name in names:
                if name not in files[n]:
                    raise InputError(f"there is no file {base / f'{n}_poisson' / name}.xyz; other resolutions have it")
        return {name: {n: files[n][name] for n in resolutions} for name in names}


def _read_xyz(path: Path) -> NDArray[np.float64]:
    try:
        points = np.loadtxt(path, dtype=np.float64, ndmin=2)[:, :3]
    except (ValueError, IndexError, OSError) as error:
        raise InputError(f"cannot read {path}: {error}; expected three numbers a line") from error
    if points.shape[0] <= NEIGHBOURS or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"{path} is not a cloud of more than {NEIGHBOURS} points with three finite coordinates a line")
    return points


def _surface(
    name: str,
    points: dict[int, NDArray[np.float64]],
    mesh: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
    keep_mesh: bool,
) -> Surface:
    centre, radius = bounding_sphere(mesh[0][np.unique(mesh[1])] if mesh else points[max(points)])
    clouds: dict[int, Cloud] = {}
    if mesh is None:
        for n, cloud in points.items():
            cloud = (cloud - centre) / radius
            clouds[n] = cloud.astype(np.float32), _plane_normals(cloud).astype(np.float32)
        return Surface(name, clouds)
    vertices, faces = (mesh[0] - centre) / radius, mesh[1]
    for n, cloud in points.items():
        cloud = (cloud - centre) / radius
        normals, distances = _face_normals(vertices, faces, cloud)
        if not distances.mean() < 0.02:
            raise InputError(f"the {n} points of {name} do not lie on its mesh; use clouds and meshes of one origin")
        clouds[n] = cloud.astype(np.float32), normals.astype(np.float32)
    return Surface(name, clouds, (vertices.astype(np.float32), faces.astype(np.int32)) if keep_mesh else None)


def _face_normals(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals (n, 3) of the nearest faces and the distances (n,) to them."""
    nearest = point_to_mesh(points, vertices, faces)
    corners = vertices[faces[nearest.face]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300), np.sqrt(nearest.squared)


def _plane_normals(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) directions of least spread of the 16 nearest points, away from the origin."""
    neighbours = points[cKDTree(points).query(points, k=NEIGHBOURS)[1]]
    spread = neighbours - neighbours.mean(axis=1, keepdims=True)
    normals: NDArray[np.float64] = np.linalg.eigh(np.einsum("nki,nkj->nij", spread, spread))[1][:, :, 0]
    inward = np.einsum("ij,ij->i", normals, points) < 0
    return np.where(inward[:, None], -normals, normals)
