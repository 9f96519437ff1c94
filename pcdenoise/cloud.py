"""`PointCloud`: what every reader returns, every writer takes and every denoiser keeps in order."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError

Mesh = tuple[NDArray[Any], NDArray[Any]]
"""Vertices (v, 3) and faces (f, 3) of a triangle mesh."""


@dataclass(frozen=True)
class PointCloud:
    """Coordinates, and whatever else the file said about them.

    Attributes:
        points: (n, 3) float64, in the file's own unit and coordinate system. Rows may hold NaN (organised clouds).
        attributes: name -> array with n rows, in the file's own type. Conventional names: `colors` (n, 3),
            `normals` (n, 3), `intensity`, `classification`, `time`; any other scalar or vector field keeps its name.
        metadata: what a format needs to write the same file again (header records, faces, width and height).
            Keys start with the name of the format that put them there, for instance `las_layout`.

    Raises:
        InputError: points are not (n, 3), or an attribute has another number of rows.
    """

    points: NDArray[np.float64]
    attributes: dict[str, NDArray[Any]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = np.ascontiguousarray(self.points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(f"points have shape {points.shape}; give an array of shape (n, 3)")
        object.__setattr__(self, "points", points)
        for name, values in self.attributes.items():
            if len(values) != len(points):
                raise InputError(f"attribute {name!r} has {len(values)} rows, but there are {len(points)} points")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """(n,) true where all three coordinates are finite."""
        return np.asarray(np.isfinite(self.points).all(axis=1))

    def with_points(self, points: NDArray[Any]) -> "PointCloud":
        """The same cloud with moved points: same count, same order, same attributes."""
        if len(points) != len(self.points):
            raise InputError(f"{len(points)} points cannot replace {len(self.points)}: a denoiser keeps the count")
        return replace(self, points=points)
