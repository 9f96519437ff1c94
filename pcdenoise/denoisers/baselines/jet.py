"""Smoothing by local polynomial surfaces."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.cgal import coordinates, point_set, processing
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Jet(TunedMethod):
    """Each point moves onto a polynomial height field fitted to its neighbours.

    In the principal axes (u, v, z) of the neighbours, `z = sum_(i + j <= d) a_ij u^i v^j` is fitted by least squares;
    the point goes to `(0, 0, a_00)` about itself. All points move at once, `passes` times.

    Args:
        neighbours: of a fit, with the point itself; at least 6. Fewer points than that are all of them.
        degree: d, 1 to 4.
        passes: at least 1.

    Raises:
        UsageError: a number out of its range; in a call, CGAL is not installed.
    """

    source: ClassVar[str] = (
        "Cazals and Pouget, Estimating differential quantities using polynomial fitting of osculating jets "
        "(CAGD 2005); CGAL jet_smooth_point_set"
    )

    neighbours: int = 64
    degree: int = 2
    passes: int = 1

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 6)
        self._require_whole("passes")
        self._require(self.degree in (1, 2, 3, 4), "degree", self.degree, "1, 2, 3 or 4")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""
        algorithms, smoothed = processing(), point_set(points)
        for _ in range(self.passes):
            algorithms.jet_smooth_point_set(smoothed, min(self.neighbours, len(points)), 0.0, self.degree, self.degree)
        return coordinates(smoothed)
