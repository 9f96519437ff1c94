"""Averages of neighbours, again and again."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pcdenoise.denoisers.baselines.tuned import TunedMethod
from pcdenoise.geometry.neighbours import knn


@dataclass(frozen=True)
class Laplacian(TunedMethod):
    """Umbrella smoothing on the graph of nearest neighbours: diffusion, which also shrinks.

        x_i <- x_i + step (mean_{j in N(i)} x_j - x_i),   N(i) of the noisy cloud

    Args:
        neighbours: in N(i), without i; at least 3.
        step: above 0 and at most 1.
        passes: at least 1.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = "Pauly, Kobbelt and Gross, Multiresolution modeling of point-sampled geometry (ETH 2002)"

    neighbours: int = 16
    step: float = 0.5
    passes: int = 4

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 3)
        self._require_positive("step")
        self._require(self.step <= 1, "step", self.step, "a number above 0 and at most 1")
        self._require_whole("passes")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""
        mean = averaging(points, self.neighbours)
        for _ in range(self.passes):
            points = points + self.step * (mean @ points - points)
        return points


def averaging(points: NDArray[np.float64], k: int) -> csr_array:
    """The matrix (n, n) that takes the mean over the k nearest neighbours of each point, itself not among them."""
    n, k = len(points), min(k, len(points) - 1)
    _, neighbours = knn(points, k)
    return csr_array((np.full(n * k, 1 / k), neighbours.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
