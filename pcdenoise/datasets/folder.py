"""Training surfaces from a folder of meshes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.surfaces import RESOLUTIONS, Progress, Surface, cached, content_hash, sample_surface
from pcdenoise.errors import InputError

SUFFIXES = (".off", ".obj", ".ply", ".stl")


@dataclass(frozen=True)
class Folder:
    """All meshes (.off, .obj, .ply, .stl) in a folder and its subfolders, in the order of their names.

    Attributes:
        root: the folder.
        seed: of the sampling.
        resolutions: numbers of points of the clouds of each shape.
        meshes: keep the meshes with the clouds.
        cache_dir: folder for the sampled clouds; None samples each time.
    """

    root: str | Path
    seed: int = 0
    resolutions: Sequence[int] = RESOLUTIONS
    meshes: bool = False
    cache_dir: str | Path | None = None

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """The sampled meshes, named by their path below the root without the suffix.

        Raises:
            InputError: the folder is missing or holds no meshes, or a mesh cannot be read.
        """
        root = Path(self.root)
        if not root.is_dir():
            raise InputError(f"there is no folder {root}; give a folder with {', '.join(SUFFIXES)} meshes")
        paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise InputError(f"{root} holds no meshes; expected files ending in {', '.join(SUFFIXES)}")
        names = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
        if len(set(names)) != len(names):
            names = [path.relative_to(root).as_posix() for path in paths]
        resolutions = [int(n) for n in self.resolutions]

        def build() -> list[Surface]:
            built = []
            for number, (name, path) in enumerate(zip(names, paths, strict=True)):
                rng = np.random.default_rng([self.seed, number])
                built.append(sample_surface(name, *read_mesh(path), resolutions, rng, self.meshes))
                if progress:
                    progress(len(built), len(paths), name)
            return built

        parameters = {
            "source": "folder",
            "files": {name: content_hash(path) for name, path in zip(names, paths, strict=True)},
            "seed": self.seed,
            "resolutions": resolutions,
            "meshes": self.meshes,
        }
        return cached(parameters, self.cache_dir, build)


def read_mesh(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (v, 3) and triangles (f, 3) of a mesh file; polygons are cut into triangles, scenes are merged.

    Raises:
        InputError: the file is missing, unreadable or has no faces.
    """
    import trimesh

    try:
        mesh: Any = trimesh.load(path, force="mesh", process=False)
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except Exception as error:
        raise InputError(f"cannot read the mesh {path}: {error}; repair or remove it") from error
    if len(faces) == 0 or not np.isfinite(vertices).all():
        raise InputError(f"{path} has no faces or coordinates that are not finite; repair or remove it")
    return vertices, faces
