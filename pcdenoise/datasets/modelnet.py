"""ModelNet10 and ModelNet40 (Wu et al., "3D ShapeNets", CVPR 2015), through torch-geometric."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.mesh_files import read_mesh
from pcdenoise.datasets.pairs import some_of
from pcdenoise.datasets.surfaces import RESOLUTIONS, Progress, Surface, cached, content_hash, sample_surface
from pcdenoise.errors import InputError, UsageError

NAMES = ("10", "40")


@dataclass(frozen=True)
class ModelNet:
    """CAD models, downloaded by `torch_geometric.datasets.ModelNet` where they are not there yet, in its layout:

        root/raw/<category>/<split>/<category>_<number>.off

    The models are no closed surfaces: they have holes, faces that coincide, faces without area, and faces that look
    either way. What is sampled is each place once, by Poisson disk; the sign of the normals is arbitrary. A model
    without area is left out with a warning.

    Attributes:
        root: the folder.
        name: `10` or `40`, the number of categories.
        split: `train` or `test`.
        categories: a choice of them; None takes all.
        count: how many models, taken from the categories in turn; None takes all, in the order of their names.
        seed: of the sampling.
        resolutions: numbers of points of the clouds of each model.
        meshes: keep the meshes with the clouds.
        cache_dir: folder for the sampled clouds; None samples each time.

    Raises:
        UsageError: an unknown name or split.
    """

    root: str | Path
    name: str = "10"
    split: str = "train"
    categories: Sequence[str] | None = None
    count: int | None = None
    seed: int = 0
    resolutions: Sequence[int] = RESOLUTIONS
    meshes: bool = False
    cache_dir: str | Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.name))
        if self.name not in NAMES:
            raise UsageError(f"there is no ModelNet{self.name}; give dataset.name=10 or dataset.name=40")
        if self.split not in ("train", "test"):
            raise UsageError(f"there is no split {self.split!r}; choose train or test")

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """The models, named `<category>/<category>_<number>`.

        Raises:
            InputError: they cannot be downloaded or read, or a category is unknown.
        """
        paths = self._choose(self._categories())
        resolutions = [int(n) for n in self.resolutions]

        def build() -> list[Surface]:
            built = []
            for number, (name, path) in enumerate(paths.items()):
                rng = np.random.default_rng([self.seed, number])
                try:
                    vertices, faces = each_place_once(*read_mesh(path))
                    built.append(sample_surface(name, vertices, faces, resolutions, rng, self.meshes))
                except InputError as error:
                    warnings.warn(f"{name} is left out: {error}", stacklevel=2)
                if progress:
                    progress(number + 1, len(paths), name)
            if not built:
                raise InputError(f"none of the {len(paths)} models in {self.root} can be sampled; download them again")
            return built

        parameters = {
            "source": "modelnet",
            "files": {name: content_hash(path) for name, path in paths.items()},
            "seed": self.seed,
            "resolutions": resolutions,
            "meshes": self.meshes,
        }
        return cached(parameters, self.cache_dir, build)

    def _categories(self) -> dict[str, Path]:
        """Category -> folder; downloaded where there are none."""
        raw = Path(self.root) / "raw"
        if not any(raw.glob("*")):
            _download(Path(self.root), self.name)
        found = {path.name: path for path in sorted(raw.iterdir()) if path.is_dir()}
        if len(found) < int(self.name):
            raise InputError(
                f"{raw} has {len(found)} of {self.name} categories; choose another root, and ModelNet{self.name} is "
                "downloaded into it"
            )
        unknown = set(self.categories or ()) - found.keys()
        if unknown:
            raise InputError(f"ModelNet{self.name} has no {some_of(unknown)}; choose from {', '.join(found)}")
        return {name: path for name, path in found.items() if self.categories is None or name in self.categories}

    def _choose(self, categories: dict[str, Path]) -> dict[str, Path]:
        """Name -> file of the wanted models."""
        files = {name: sorted((folder / self.split).glob("*.off")) for name, folder in categories.items()}
        longest = max(map(len, files.values()))
        if self.count is None:
            chosen = [path for paths in files.values() for path in paths]
        else:
            chosen = [paths[i] for i in range(longest) for paths in files.values() if i < len(paths)][: self.count]
        if not chosen:
            raise InputError(
                f"{self.root} holds no raw/<category>/{self.split}/*.off; choose another root to download them"
            )
        return {f"{path.parent.parent.name}/{path.stem}": path for path in chosen}


def each_place_once(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A mesh (v, 3), (f, 3) without faces that have no area, and with one of those that have the same corners.

    Raises:
        InputError: no face is left.
    """
    places, number = np.unique(vertices, axis=0, return_inverse=True)
    faces = number.reshape(-1)[faces]
    faces = faces[np.sort(np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1])]
    a, b, c = np.moveaxis(places[faces], 1, 0)
    faces = faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 0]
    if len(faces) == 0:
        raise InputError("the mesh has no area")
    return places, faces


def _download(root: Path, name: str) -> None:
    from torch_geometric.datasets import ModelNet as Archive

    class Files(Archive):  # type: ignore[misc]
        """The download alone: the original goes on to parse every model and forgets their names."""

        has_process = False

        def load(self, path: str, *arguments: Any) -> None:
            """Nothing is loaded."""

    try:
        Files(str(root), name)
    except Exception as error:
        raise InputError(
            f"ModelNet{name} cannot be downloaded ({error}); get {Archive.urls[name]} by hand and unpack it so that "
            f"{root}/raw/chair/train/chair_0001.off is there"
        ) from error
