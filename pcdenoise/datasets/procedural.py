"""Training surfaces without a download: shapes drawn from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdenoise.datasets.shapes import FAMILIES, VERSION, make_shape
from pcdenoise.datasets.surfaces import RESOLUTIONS, Progress, Surface, cached, sample_surface
from pcdenoise.errors import UsageError


@dataclass(frozen=True)
class Shapes:
    """Shapes number `seed` to `seed + count - 1` of `make_shape`.

    Attributes:
        count: number of shapes.
        seed: number of the first one; ranges that do not overlap share no shape.
        resolutions: numbers of points of the clouds of each shape.
        families: names from `shapes.FAMILIES` that take turns; all of them by default.
        meshes: keep the meshes with the clouds.
        cache_dir: folder for the sampled clouds; None samples each time (about three seconds a shape).

    Raises:
        UsageError: there is no such family.
    """

    count: int = 64
    seed: int = 0
    resolutions: Sequence[int] = RESOLUTIONS
    families: Sequence[str] | None = None
    meshes: bool = False
    cache_dir: str | Path | None = None

    def __post_init__(self) -> None:
        unknown = set(self.families or ()) - set(FAMILIES)
        if unknown:
            raise UsageError(f"no shape family {sorted(unknown)}; choose from {', '.join(FAMILIES)}")

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """The sampled shapes, named `<family>-<number>`."""
        families = list(self.families or FAMILIES)
        resolutions = [int(n) for n in self.resolutions]

        def build() -> list[Surface]:
            built = []
            for number in range(self.seed, self.seed + self.count):
                family = families[number % len(families)]
                vertices, faces = make_shape(number, family)
                rng = np.random.default_rng([number, 1])
                name = f"{family}-{number:05d}"
                built.append(sample_surface(name, vertices, faces, resolutions, rng, self.meshes))
                if progress:
                    progress(len(built), self.count, name)
            return built

        parameters = {
            "source": "shapes",
            "version": VERSION,
            "count": self.count,
            "seed": self.seed,
            "resolutions": resolutions,
            "families": families,
            "meshes": self.meshes,
        }
        return cached(parameters, self.cache_dir, build)
