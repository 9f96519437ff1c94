"""Surfaces that travel in one file."""

from dataclasses import dataclass
from pathlib import Path

from pcdenoise.datasets.surfaces import Progress, Surface, load


@dataclass(frozen=True)
class Packed:
    """What `pcdenoise.datasets.surfaces.save` wrote, such as `tools/train_release.py pack` does.

    Attributes:
        path: the file.
    """

    path: str | Path

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """All surfaces, in the order of the file.

        Raises:
            InputError: the file is missing, damaged or of another kind.
        """
        surfaces = load(self.path)
        if progress:
            progress(len(surfaces), len(surfaces), surfaces[-1].name)
        return surfaces
