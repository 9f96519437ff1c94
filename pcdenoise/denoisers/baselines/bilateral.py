"""Edge-preserving smoothing with the normals of the neighbours."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.cgal import coordinates, point_set, processing
from pcdenoise.denoisers.baselines.oriented import oriented_normals
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Bilateral(TunedMethod):
    """Each point moves along its normal towards the planes of neighbours that face the same way.

        w_ij = exp(-|p_i - p_j|^2 / s^2) exp(-((1 - n_i . n_j) / (1 - cos(angle)))^2)
        p_i <- p_i + (sum_j w_ij n_j . (p_j - p_i) / sum_j w_ij) n_i

    in CGAL's version of it (where s goes by the radius of the neighbourhood), with the normals smoothed by the same
    weights. It is repeated `passes` times, and the normals are handed on. The first ones are those of planes through
    `neighbours` points, turned to one side along a spanning tree: CGAL's own orientation drops points it cannot reach.

    Args:
        neighbours: at least 4. Fewer points than that are all of them.
        sharpness: the angle, in degrees, above 0 and at most 90: a lower one keeps more edges, and more noise.
        passes: at least 1.

    Raises:
        UsageError: a number out of its range; in a call, CGAL is not installed.
    """

    source: ClassVar[str] = (
        "Huang, Wu, Gong, Cohen-Or, Ascher and Zhang, Edge-aware point set resampling (TOG 2013), section 4; "
        "CGAL bilateral_smooth_point_set"
    )

    neighbours: int = 24
    sharpness: float = 30.0
    passes: int = 3

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 4)
        self._require_whole("passes")
        self._require(0 < self.sharpness <= 90, "sharpness", self.sharpness, "an angle above 0 and up to 90 degrees")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""
        neighbours = min(self.neighbours, len(points) - 1)
        algorithms, smoothed = processing(), point_set(points, oriented_normals(points, neighbours))
        for _ in range(self.passes):
            algorithms.bilateral_smooth_point_set(smoothed, neighbours, 0.0, self.sharpness)
        return coordinates(smoothed)
