"""The layout of the PointCleanNet data (Rakotosaona et al., Computer Graphics Forum 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdenoise.datasets.clean_clouds import cloud_surface, read_xyz
from pcdenoise.datasets.pairs import Pair, make_pair, some_of
from pcdenoise.datasets.surfaces import RESOLUTIONS, Progress, Surface, cached, content_hash
from pcdenoise.errors import InputError

LISTS = {"train": "trainingset.txt", "validation": "validationset.txt", "test": "testset.txt"}
NOISE = "_noise_"  # what stands between a shape and its noise in the name of a noisy cloud


@dataclass(frozen=True)
class PCNet:
    """Noisy and clean clouds of 100,000 points from one folder, `pointCleanNetDataset` in the authors' archive:

        root/trainingset.txt             names, one a line; validationset.txt, testset.txt
        root/<name>.xyz                  a cloud, such as bunny100k_noise_white_1.00e-02
        root/<name>.clean_xyz            the clean cloud behind it

    The shapes themselves are listed beside their noisy versions, and are their own clean clouds. There are no meshes;
    normals are those of planes through 16 neighbours.

    Attributes:
        root: the folder.
        split: `train`, `validation` or `test`: which list is read.
        seed: of the thinning.
        resolutions: numbers of points of the clean clouds; None takes them as they are.
        cache_dir: folder for the thinned clouds; None reads the files each time.
    """

    root: str | Path
    split: str = "train"
    seed: int = 0
    resolutions: Sequence[int] | None = RESOLUTIONS
    cache_dir: str | Path | None = None

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """The clean shapes, each once, in the order of the list.

        Raises:
            InputError: the list or a file is missing or unreadable, or a cloud has less points than asked for.
        """
        files: dict[str, Path] = {}
        for name, (_, clean) in self._files().items():
            files.setdefault(shape_of(name), clean)
        resolutions = None if self.resolutions is None else [int(n) for n in self.resolutions]

        def build() -> list[Surface]:
            built = []
            for number, (name, path) in enumerate(files.items()):
                rng = np.random.default_rng([self.seed, number])
                built.append(cloud_surface(name, read_xyz(path), resolutions, rng))
                if progress:
                    progress(len(built), len(files), name)
            return built

        parameters = {
            "source": "pc_net",
            "files": {name: content_hash(path) for name, path in files.items()},
            "seed": self.seed,
            "resolutions": resolutions,
        }
        return cached(parameters, self.cache_dir, build)

    def pairs(self, progress: Progress | None = None) -> list[Pair]:
        """The noisy clouds with their clean ones, in the order of the list; those without noise are left out.

        Raises:
            InputError: the list or a file is missing or unreadable.
        """
        files = {name: paths for name, paths in self._files().items() if shape_of(name) != name}
        pairs = []
        for name, (noisy, clean) in files.items():
            pairs.append(make_pair(name, shape_of(name), read_xyz(noisy), read_xyz(clean)))
            if progress:
                progress(len(pairs), len(files), name)
        return pairs

    def _files(self) -> dict[str, tuple[Path, Path]]:
        """name -> cloud and clean cloud, complete."""
        root = Path(self.root)
        if self.split not in LISTS:
            raise InputError(f"there is no split {self.split!r}; choose from {', '.join(LISTS)}")
        index = root / LISTS[self.split]
        if not index.is_file():
            raise InputError(f"there is no file {index}; give the folder pointCleanNetDataset of the authors' archive")
        names = list(dict.fromkeys(index.read_text().split()))
        if not names:
            raise InputError(f"{index} names no shapes; unpack the authors' archive again")
        files = {name: (root / f"{name}.xyz", _clean(root, name)) for name in names}
        missing = {str(path) for paths in files.values() for path in paths if not path.is_file()}
        if missing:
            raise InputError(
                f"{index} names shapes without files: {some_of(missing)}; unpack the authors' archive again"
            )
        return files


def shape_of(name: str) -> str:
    """`bunny100k_noise_white_1.00e-02` -> `bunny100k`."""
    return name.partition(NOISE)[0]


def _clean(root: Path, name: str) -> Path:
    """The clean cloud of a name: its own, or that of the shape."""
    own, shape = root / f"{name}.clean_xyz", root / f"{shape_of(name)}.xyz"
    return shape if shape.is_file() and not own.is_file() else own
