"""Thin slabs through a cloud: noise shows in a section."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.normals import plane_normals
from pcdenoise.viewer.camera import AXES, Camera

WINDOW = 45  # width of a section, in spacings of the cloud
POINTS = 300  # wanted in a section
THIN = 0.02  # thickness of a section across a whole cloud / extent
BORDER = 1.06  # width of a section across a whole cloud / extent


@dataclass(frozen=True, eq=False)
class Section:
    """A thin slab through a cloud, and the window of it that is drawn.

    Attributes:
        centre: (3,) the middle of the window.
        axes: (3, 3) rows are unit vectors: through the slab, then along the sides of the window, right and up.
        width: of the window.
        thickness: of the slab.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    width: float
    thickness: float

    @classmethod
    def through(cls, points: NDArray[np.float64], camera: Camera, detail: float) -> "Section":
        """The window that shows the most surface edge-on, among those whose middle the camera sees.

        Args:
            points: (n, 3), finite, at least one.
            camera: says what is visible, and which way to cut.
            detail: a length that should be seen in the window.
        """
        pitch = spacing(points)
        width = min(max(WINDOW * pitch, 30 * detail), float(np.ptp(points, axis=0).max())) or 1.0
        up = np.eye(3)[np.abs(camera.axes[1]).argmax()]
        axes = np.stack([camera.section, np.cross(up, camera.section), up])
        generator = np.random.default_rng(0)
        sample = points[generator.choice(len(points), min(len(points), 40_000), replace=False)]
        slab = max(2 * pitch, 0.02 * width)
        # below 0 where the slab runs along the surface
        edge_on = 0.4 - np.abs(plane_normals(points, 24, sample) @ camera.section)
        middles = generator.permutation(sample[_visible(sample, camera)])[:60]
        best, chosen = -np.inf, sample[:1]
        for middle in middles:
            offset = (sample - middle) @ axes.T
            inside = (np.abs(offset) <= np.array([slab, width, width]) / 2).all(axis=1)
            if edge_on[inside].sum() > best and inside.any():
                best, chosen = edge_on[inside].sum(), sample[inside]
        local = chosen @ axes.T
        low, high = local.min(axis=0), local.max(axis=0)
        size = 1.12 * float((high - low)[1:].max()) or width
        window = cls((low + high) / 2 @ axes, axes, size, thickness=width)
        across = np.sort(np.abs((points[window.contains(points)] - window.centre) @ camera.section))
        enough = 2 * float(across[min(POINTS, len(across)) - 1]) if len(across) else width
        return replace(window, thickness=min(max(enough, 2 * pitch), 0.1 * window.width) or width)

    @classmethod
    def across(
        cls, points: NDArray[Any], axis: int, position: float | None = None, thickness: float | None = None
    ) -> "Section":
        """The whole cut of a cloud at one place of a coordinate axis; z is up, or y where the cut is across z.

        Args:
            points: (n, 3), finite, at least one.
            axis: 0, 1 or 2.
            position: of the middle of the slab on that axis, in the unit of the cloud; by default half-way.
            thickness: of the slab, in the unit of the cloud; by default 2 % of the cloud's extent.
        """
        low, high = np.asarray(points).min(axis=0), np.asarray(points).max(axis=0)
        extent = float((high - low).max()) or 1.0
        centre = (low + high) / 2
        if position is not None:
            centre[axis] = position
        up = AXES[1 if axis == 2 else 2]
        axes = np.stack([AXES[axis], np.cross(up, AXES[axis]), up])
        sides = np.delete(high - low, axis)
        return cls(
            centre, axes, BORDER * float(sides.max()) or extent, THIN * extent if thickness is None else thickness
        )

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) true in the slab and the window."""
        offset = np.abs((points - self.centre) @ self.axes.T)
        return np.asarray((offset <= np.array([self.thickness, self.width, self.width]) / 2).all(axis=1))

    def flat(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (n, 3) to (n, 2) along the sides of the window, from its middle."""
        flat: NDArray[np.float64] = ((points - self.centre) @ self.axes.T)[:, 1:]
        return flat


def _visible(points: NDArray[np.float64], camera: Camera, cell: int = 24) -> NDArray[np.bool_]:
    """(n,) true for points that are, within 2 % of their distance, the nearest in their cell of the picture."""
    seen = camera.sees(points)
    x, y, depth = camera.project(points[seen]).T
    place = (y // cell).astype(np.int64) * (camera.width // cell + 1) + (x // cell).astype(np.int64)
    nearest = np.full((camera.height // cell + 1) * (camera.width // cell + 1), np.inf)
    np.minimum.at(nearest, place, depth)
    seen[seen] = depth <= 1.02 * nearest[place]
    return seen
