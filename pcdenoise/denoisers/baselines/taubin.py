"""Diffusion forth and back, against shrinkage."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.laplacian import averaging
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Taubin(TunedMethod):
    """A low-pass filter on the graph of nearest neighbours: a step of `Laplacian`, then a longer one backwards.

        x <- (1 - step K)(x),  x <- (1 + back K)(x),   K = 1 - mean over neighbours,  1 / back = 1 / step - pass_band

    An eigenvector of K with eigenvalue `pass_band` keeps its size, those below hardly change, those above fade.

    Args:
        neighbours: of a mean, at least 3.
        step: above 0 and at most 1.
        pass_band: above 0 and below 1 / step.
        passes: of both steps, at least 1.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = "Taubin, A signal processing approach to fair surface design (SIGGRAPH 1995)"

    neighbours: int = 16
    step: float = 0.5
    pass_band: float = 0.1
    passes: int = 10

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 3)
        self._require_positive("step")
        self._require(self.step <= 1, "step", self.step, "a number above 0 and at most 1")
        self._require_positive("pass_band")
        self._require(self.pass_band < 1 / self.step, "pass_band", self.pass_band, f"a number below {1 / self.step:g}")
        self._require_whole("passes")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""
        mean = averaging(points, self.neighbours)
        back = 1 / (1 / self.step - self.pass_band)
        for _ in range(self.passes):
            points = points + self.step * (mean @ points - points)
            points = points - back * (mean @ points - points)
        return points
