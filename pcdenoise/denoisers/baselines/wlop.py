"""Points that attract each other towards the surface and repel each other along it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.cgal import coordinates, point_set, processing
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Wlop(TunedMethod):
    """Weighted locally optimal projection: local medians of the cloud, spread evenly.

        x_i <- sum_j p_j a_ij / sum_j a_ij + mu sum_k (x_i - x_k) b_ik / sum_k b_ik

    with weights a and b that fall off as `exp(-(4 d / radius)^2)` over distance. It is a resampling: CGAL starts from a
    chosen share of the points and returns where these end. All of them are chosen here, so that each row has a
    result, and row i is where row i ended; along the surface it may have moved by several spacings.

    Args:
        radius: of the neighbourhood, in spacings, above 0. Too small a one leaves holes, too large a one is slow.
        steps: at least 1.
        even: correct for uneven density (the W of the name), which takes longer.

    Raises:
        UsageError: a number out of its range; in a call, CGAL is not installed.
    """

    source: ClassVar[str] = (
        "Huang, Li, Zhang, Ascher and Cohen-Or, Consolidation of unorganized point clouds for surface reconstruction "
        "(SIGGRAPH Asia 2009); CGAL wlop_simplify_and_regularize_point_set"
    )

    radius: float = 4.0
    steps: int = 35
    even: bool = False

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_positive("radius")
        self._require_whole("steps")
        self._require(isinstance(self.even, bool), "even", self.even, "true or false")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""
        algorithms, given, ended = processing(), point_set(points), point_set(points[:0])
        algorithms.wlop_simplify_and_regularize_point_set(
            given, ended, 100.0, float(self.radius), self.steps, self.even
        )
        # CGAL shuffles the points it is given, and the results come in that order.
        rows = np.array(list(given.indices()))
        moved = np.empty_like(points)
        moved[rows] = coordinates(ended)
        return np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, points)
