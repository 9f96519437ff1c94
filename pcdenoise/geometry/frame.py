"""Where a cloud lies and how large its unit of length is, so that both can be taken out and put back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError
from pcdenoise.geometry.noise import spacing


@dataclass(frozen=True, eq=False)
class Frame:
    """The reversible map `local = (world - centre) / scale`, in float64.

    What is computed on `local` and mapped back does not depend on the unit and the origin of the file, and may be
    done in float32 even where the file holds UTM coordinates.

    Attributes:
        centre: (3,) float64, in world coordinates.
        scale: world length of one local unit, above 0.

    Raises:
        InputError: the centre is not three finite numbers, or the scale is not finite and positive.
    """

    centre: NDArray[np.float64]
    scale: float

    def __post_init__(self) -> None:
        centre = np.array(self.centre, dtype=np.float64)
        if centre.shape != (3,) or not np.isfinite(centre).all():
            raise InputError(f"a frame's centre is three finite numbers, not {self.centre}")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"a frame's scale is finite and positive, not {self.scale}")
        object.__setattr__(self, "centre", centre)

    @classmethod
    def of(cls, points: NDArray[np.float64]) -> "Frame":
        """The frame of a cloud: its median per coordinate as centre, its `spacing` as scale (1 if that is 0).

        Args:
            points: (n, 3), finite, at least one.

        Raises:
            InputError: no points, or coordinates not finite.
        """
        if len(points) == 0:
            raise InputError("an empty cloud has no frame; give at least one point")
        # the centre is found relative to one point of the cloud, and the spacing after centring, lest either
        # loses digits to a far origin
        origin = np.asarray(points[0], dtype=np.float64)
        centre = origin + np.median(points - origin, axis=0)
        return cls(centre, spacing(points - centre) or 1.0)

    @classmethod
    def unit_sphere(cls, points: NDArray[np.float64]) -> "Frame":
        """The frame in which benchmarks measure: the bounding box's midpoint, and the largest distance from it.

        In it the points lie in the unit sphere, and one of them on it. Published noise levels ("1 %") and errors are
        lengths in this frame of the clean cloud or of the mesh's vertices.

        Args:
            points: (n, 3), finite, at least two different ones.

        Raises:
            InputError: no points, all of them equal, or coordinates not finite.
        """
        if len(points) == 0:
            raise InputError("an empty cloud has no frame; give at least two points")
        points = np.asarray(points, dtype=np.float64)
        centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
        return cls(centre, float(np.linalg.norm(points - centre, axis=1).max()))

    def to_local(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """World coordinates (n, 3) to local ones, float64."""
        local: NDArray[np.float64] = (np.asarray(points, dtype=np.float64) - self.centre) / self.scale
        return local

    def to_world(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Local coordinates (n, 3) to world ones, float64."""
        world: NDArray[np.float64] = np.asarray(points, dtype=np.float64) * self.scale + self.centre
        return world
