"""The layout in which the field passes around the PU-Net shapes (Yu et al., CVPR 2018; Luo and Hu, ICCV 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.clean_clouds import read_xyz
from pcdenoise.datasets.mesh_files import read_mesh
from pcdenoise.datasets.pairs import Pair, make_pair, some_of
from pcdenoise.datasets.surfaces import RESOLUTIONS, Cloud, Progress, Surface, cached, content_hash
from pcdenoise.errors import InputError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.normals import plane_normals
from pcdenoise.geometry.triangles import point_to_mesh

LEVELS = (0.01, 0.02, 0.03)
OFF_MESH = 0.02  # mean distance in radii above which points do not lie on a mesh
# What the authors' copy of the PU-Net shapes holds: 40 shapes to train on, 20 to test with.
SHAPES = {"train": 40, "test": 20}
PUBLISHED = {"train": (10_000, 30_000, 50_000), "test": (10_000, 50_000)}


@dataclass(frozen=True)
class PUNet:
    """Clean clouds, and meshes and noisy clouds where there are some, from

        root/pointclouds/<split>/<resolution>_poisson/<name>.xyz
        root/meshes/<split>/<name>.off
        root/examples/PUNet_<resolution>_poisson_<level>/<name>.xyz    (or examples/ beside the root)

    Clouds and mesh of a shape are normalised together, by the mesh where there is one, else by the densest cloud.
    Normals are those of the nearest face; without a mesh, of a plane through 16 neighbours (away from the centre).

    Attributes:
        root: the folder.
        split: `train` or `test`.
        resolutions: numbers of points; each shape must have them all.
        levels: of the noise in `examples`, for `pairs`; relative to the unit sphere.
        meshes: keep the meshes with the clouds.
        cache_dir: folder for the result; None reads the files each time.
    """

    root: str | Path
    split: str = "train"
    resolutions: Sequence[int] = RESOLUTIONS
    levels: Sequence[float] = LEVELS
    meshes: bool = False
    cache_dir: str | Path | None = None

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """The shapes in the order of their names.

        Raises:
            InputError: a folder or file is missing or unreadable, or a mesh does not lie where its clouds are.
        """
        clouds = self._find_clouds()
        meshes = {path.stem: path for path in sorted((Path(self.root) / "meshes" / self.split).glob("*.off"))}

        def build() -> list[Surface]:
            built = []
            for name, paths in clouds.items():
                points = {n: read_xyz(path) for n, path in paths.items()}
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

    def noisy_files(self, resolution: int, level: float) -> dict[str, Path]:
        """name -> published noisy cloud of each shape, in the frame of the file of its clean cloud.

        Raises:
            InputError: there are none, or some are missing.
        """
        folder = _examples(Path(self.root), resolution, level)
        if folder is None:
            raise InputError(
                f"there is no folder examples/PUNet_{resolution}_poisson_{level:g} in {self.root} or beside it; unpack "
                "the authors' data again, or add noise to the clean clouds"
            )
        found = {path.stem: path for path in sorted(folder.glob("*.xyz"))}
        missing = self._find_clouds().keys() - found.keys()
        if missing:
            raise InputError(f"{folder} lacks the noisy clouds of {some_of(missing)}; unpack the authors' data again")
        return {name: found[name] for name in self._find_clouds()}

    def pairs(self, progress: Progress | None = None) -> list[Pair]:
        """The published noisy clouds with their clean ones, named `<resolution>/<level>/<name>`.

        Raises:
            InputError: see `noisy_files` and `surfaces`.
        """
        clean = self._find_clouds()
        noisy = {
            f"{n}/{level:g}/{name}": (path, clean[name][n])
            for n in map(int, self.resolutions)
            for level in self.levels
            for name, path in self.noisy_files(n, level).items()
        }
        pairs = []
        for name, (path, target) in noisy.items():
            pairs.append(make_pair(name, path.stem, read_xyz(path), read_xyz(target)))
            if progress:
                progress(len(pairs), len(noisy), name)
        return pairs

    def _find_clouds(self) -> dict[str, dict[int, Path]]:
        """name -> number of points -> file, complete."""
        base = Path(self.root) / "pointclouds" / self.split
        if not base.is_dir():
            raise InputError(
                f"there is no folder {base}; expected <root>/pointclouds/<split>/<resolution>_poisson/<name>.xyz"
            )
        resolutions = [int(n) for n in self.resolutions]
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
        missing = [
            str(base / f"{n}_poisson" / f"{name}.xyz") for n in resolutions for name in names if name not in files[n]
        ]
        if missing:
            raise InputError(f"there is no file {some_of(missing)}; other resolutions have it")
        return {name: {n: files[n][name] for n in resolutions} for name in names}


class Part(NamedTuple):
    """One folder of the layout, as `check_layout` finds it.

    Attributes:
        folder: below the root.
        expected: files that the published copy has.
        found: files that are there.
        problems: what is wrong with them, a line each.
    """

    folder: str
    expected: int
    found: int
    problems: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing wrong."""
        return self.found == self.expected and not self.problems


def check_layout(root: Path, progress: Progress | None = None) -> list[Part]:
    """Compare a copy of the published PU-Net shapes with what it should hold.

    Each cloud must have as many points as its folder says, the same names as the other folders of its split, and lie on
    its mesh where there is one (the noisy ones near their clean one).
    """
    parts = []
    folders = [(f"meshes/{split}", "*.off", split) for split in SHAPES]
    folders += [(f"pointclouds/{split}/{n}_poisson", "*.xyz", split) for split in SHAPES for n in PUBLISHED[split]]
    for n in PUBLISHED["test"]:
        for level in LEVELS:
            place = _examples(root, n, level)
            folders.append((f"examples/PUNet_{n}_poisson_{level:g}" if place is None else str(place), "*.xyz", "test"))
    names = {
        split: {path.stem for folder, pattern, s in folders if s == split for path in (root / folder).glob(pattern)}
        for split in SHAPES
    }
    for folder, pattern, split in folders:
        paths = {path.stem: path for path in sorted((root / folder).glob(pattern))}
        problems = [f"lacks {some_of(names[split] - paths.keys())}"] if paths and names[split] - paths.keys() else []
        for path in paths.values() if pattern == "*.xyz" else ():
            try:
                _check_cloud(root, split, path)
            except InputError as error:
                problems.append(str(error))
        parts.append(Part(folder, SHAPES[split], len(paths), tuple(problems)))
        if progress:
            progress(len(parts), len(folders), folder)
    return parts


def _check_cloud(root: Path, split: str, path: Path) -> None:
    """Raises InputError unless a cloud has the points that its folder says, on its mesh or near its clean cloud."""
    points = read_xyz(path)
    folder = path.parent.name
    n = int(folder.split("_")[-3] if path.parent.parent.name == "examples" else folder.split("_")[0])
    if len(points) != n:
        raise InputError(f"{path.name} has {len(points):,} points")
    clean = root / "pointclouds" / split / f"{n}_poisson" / path.name
    mesh = root / "meshes" / split / f"{path.stem}.off"
    if path != clean and clean.is_file():
        make_pair(path.name, path.stem, points, read_xyz(clean))
    elif path == clean and mesh.is_file():
        _surface(path.stem, {n: points}, read_mesh(mesh), keep_mesh=False)


def _examples(root: Path, resolution: int, level: float) -> Path | None:
    """The folder of published noisy clouds: in the root, or beside it and named as the root is."""
    ending = f"{resolution}_poisson_{level:g}"
    inside, beside = sorted(root.glob(f"examples/*_{ending}")), root.parent / "examples" / f"{root.name}_{ending}"
    return inside[0] if inside else beside if beside.is_dir() else None


def _surface(
    name: str,
    points: dict[int, NDArray[np.float64]],
    mesh: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
    keep_mesh: bool,
) -> Surface:
    frame = Frame.unit_sphere(mesh[0][np.unique(mesh[1])] if mesh else points[max(points)])
    clouds: dict[int, Cloud] = {}
    if mesh is None:
        for n, cloud in points.items():
            cloud = frame.to_local(cloud)
            clouds[n] = cloud.astype(np.float32), plane_normals(cloud).astype(np.float32)
        return Surface(name, clouds)
    vertices, faces = frame.to_local(mesh[0]), mesh[1]
    for n, cloud in points.items():
        cloud = frame.to_local(cloud)
        normals, distances = _face_normals(vertices, faces, cloud)
        if not distances.mean() < OFF_MESH:
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
