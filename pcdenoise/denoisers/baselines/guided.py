"""The guided image filter, on coordinates."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.projection_steps import project
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Guided(TunedMethod):
    """Each point becomes a linear function of itself, fitted to reproduce its neighbours.

    With mean m and covariance C of the neighbours, `min_{A, b} mean |A p_j + b - p_j|^2 + e |A|^2` has

        A = C (C + e)^-1,  b = m - A m,   x <- A x + b,   e = (softness noise)^2:

    directions in which the neighbours spread much more than the noise stay, those in which they do not collapse onto
    the mean. Repeated `passes` times about the moved cloud. Unlike in images, a point takes the fit of its own
    neighbourhood only.

    Args:
        neighbours: with the point itself, at least 4.
        softness: above 0.
        passes: at least 1.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = (
        "Han, Jin, Wang, Zhao, Guo and Wang, Guided 3D point cloud filtering (MTAP 2018), after He, Sun and Tang, "
        "Guided image filtering (TPAMI 2013), eq. 19"
    )

    neighbours: int = 24
    softness: float = 1.0
    passes: int = 2

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 4)
        self._require_positive("softness")
        self._require_whole("passes")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
        """See `TunedMethod`."""
        ridge = (self.softness * noise) ** 2 * np.eye(3)

        def filtered(
            offsets: NDArray[np.float64],
            weights: NDArray[np.float64],  # noqa: ARG001 - all neighbours count alike
            rows: NDArray[np.int32],  # noqa: ARG001
        ) -> NDArray[np.float64]:
            mean = offsets.mean(axis=1)
            spread = offsets - mean[:, None]
            covariance = np.swapaxes(spread, 1, 2) @ spread / offsets.shape[1]
            # x is the origin: it becomes b = m - A m = e (C + e)^-1 m
            moved: NDArray[np.float64] = np.linalg.solve(covariance + ridge, (mean @ ridge)[..., None])[..., 0]
            return moved

        for _ in range(self.passes):
            points = project(points, self.neighbours, 1, filtered)
        return points
