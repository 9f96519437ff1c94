"""Training surfaces, and pairs, from a folder of one's own files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdenoise.cloud import PointCloud
from pcdenoise.datasets.clean_clouds import cloud_surface
from pcdenoise.datasets.mesh_files import MESH_SUFFIXES, find_mesh
from pcdenoise.datasets.pairs import Pair, make_pair, some_of
from pcdenoise.datasets.surfaces import (
    RESOLUTIONS,
    Progress,
    Surface,
    cached,
    content_hash,
    sample_surface,
)
from pcdenoise.errors import InputError, UsageError
from pcdenoise.geometry.normals import given_normals
from pcdenoise.io import FORMATS, read

CLEAN, NOISY = "clean", "noisy"
OFTEN_NO_CLOUD = (".txt", ".csv", ".asc", ".npz", ".bin")  # counted only where nothing else is there


@dataclass(frozen=True)
class Folder:
    """All meshes and clean clouds in a folder and its subfolders, in the order of their names; or pairs.

    A file with faces (.off, .obj, .ply, .stl) is sampled; any other point cloud is thinned, and its normals are
    estimated where it has no attribute `normals`. Where the folder holds two folders `clean` and `noisy`, the files of
    `clean` are the surfaces, and `pairs` finds those of `noisy` with the same name (or the same last part of their
    name: `noisy/far/cup.ply` belongs to `clean/cup.ply`).

    Attributes:
        root: the folder.
        seed: of the sampling.
        resolutions: numbers of points of the clouds of each shape; None takes clouds, though no meshes, as they are.
        meshes: keep the meshes with the clouds.
        cache_dir: folder for the sampled clouds; None samples each time.
    """

    root: str | Path
    seed: int = 0
    resolutions: Sequence[int] | None = RESOLUTIONS
    meshes: bool = False
    cache_dir: str | Path | None = None

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """The surfaces, named by their path below the root (or `clean`) without the suffix.

        Raises:
            InputError: the folder is missing or holds nothing of use, a file cannot be read, or a cloud has less points
                than asked for.
            UsageError: meshes without resolutions.
        """
        files = _files(Path(self.root) / CLEAN if self._has_pairs() else Path(self.root))
        resolutions = None if self.resolutions is None else [int(n) for n in self.resolutions]

        def build() -> list[Surface]:
            built = []
            for number, (name, path) in enumerate(files.items()):
                built.append(self._surface(name, path, resolutions, np.random.default_rng([self.seed, number])))
                if progress:
                    progress(len(built), len(files), name)
            return built

        parameters = {
            "source": "folder",
            "files": {name: content_hash(path) for name, path in files.items()},
            "seed": self.seed,
            "resolutions": resolutions,
            "meshes": self.meshes,
        }
        return cached(parameters, self.cache_dir, build)

    def pairs(self, progress: Progress | None = None) -> list[Pair]:
        """The pairs, named by the noisy file's path below `noisy` without the suffix.

        Raises:
            InputError: there are no such folders, a noisy file has no clean one, or a file cannot be read.
        """
        root = Path(self.root)
        if not self._has_pairs():
            raise InputError(
                f"{root} holds no pairs; put the clean clouds into {root / CLEAN} and the noisy ones, under the same "
                f"names, into {root / NOISY}"
            )
        noisy, clean = _files(root / NOISY), _files(root / CLEAN)
        partner = {name: name if name in clean else name.rpartition("/")[2] for name in noisy}
        alone = [name for name in noisy if partner[name] not in clean]
        if alone:
            raise InputError(f"{root / CLEAN} has no {some_of(alone)}; name each clean cloud as its noisy one")
        pairs = []
        for name, path in noisy.items():
            pairs.append(_pair(name, partner[name], read(path), read(clean[partner[name]])))
            if progress:
                progress(len(pairs), len(noisy), name)
        return pairs

    def _has_pairs(self) -> bool:
        return all((Path(self.root) / part).is_dir() for part in (CLEAN, NOISY))

    def _surface(self, name: str, path: Path, resolutions: list[int] | None, rng: np.random.Generator) -> Surface:
        mesh = find_mesh(path) if path.suffix.lower() in MESH_SUFFIXES else None
        if mesh is not None:
            if resolutions is None:
                raise UsageError(f"{path} is a mesh, which has to be sampled; give dataset.resolutions")
            return sample_surface(name, *mesh, resolutions, rng, self.meshes)
        cloud = read(path)
        rows = np.flatnonzero(cloud.finite)
        try:
            return cloud_surface(name, cloud.points[rows], resolutions, rng, given_normals(cloud, rows))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def _files(root: Path) -> dict[str, Path]:
    """name -> file, of all point clouds and meshes below a folder, in the order of their paths."""
    known = ", ".join(FORMATS)
    if not root.is_dir():
        raise InputError(f"there is no folder {root}; give a folder with meshes or point clouds ({known})")
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in FORMATS and path.is_file())
    paths = [path for path in paths if path.suffix.lower() not in OFTEN_NO_CLOUD] or paths
    if not paths:
        raise InputError(f"{root} holds no meshes or point clouds; expected files ending in {known}")
    names = [path.relative_to(root).with_suffix("").as_posix() for path in paths]
    if len(set(names)) != len(names):
        names = [path.relative_to(root).as_posix() for path in paths]
    return dict(zip(names, paths, strict=True))


def _pair(name: str, shape: str, noisy: PointCloud, clean: PointCloud) -> Pair:
    """The pair of two clouds, without the rows that lack coordinates in one of them."""
    kept, target = noisy.finite, clean.finite
    if len(noisy) == len(clean):  # row i may belong to row i
        kept = target = kept & target
    rows = np.flatnonzero(target)
    return make_pair(name, shape, noisy.points[kept], clean.points[rows], given_normals(clean, rows))
