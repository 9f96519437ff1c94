"""Projection onto local planes or quadrics."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.projection_steps import project
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Mls(TunedMethod):
    """Moving least squares: each point goes to the polynomial fitted, with weights, to the cloud around it.

    The plane of least weighted variance gives axes (u, v, z) about the moving point; the weighted least squares fit
    `z = c_0 + c_1 u + c_2 v (+ c_3 u^2 + c_4 u v + c_5 v^2)` moves it to `(0, 0, c_0)`, `steps` times. The cloud stays
    the noisy one, unlike in repeated passes of `Jet`, whose fit has no weights.

    Args:
        neighbours: within the kernel, at least 10.
        degree: 1 (planes) or 2 (quadrics).
        steps: at least 1.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = "Alexa, Behr, Cohen-Or, Fleishman, Levin and Silva, Point set surfaces (IEEE VIS 2001)"

    neighbours: int = 96
    degree: int = 2
    steps: int = 2

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 10)
        self._require(self.degree in (1, 2), "degree", self.degree, "1 or 2")
        self._require_whole("steps")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""

        def to_polynomial(
            offsets: NDArray[np.float64],
            weights: NDArray[np.float64],
            rows: NDArray[np.int32],  # noqa: ARG001
        ) -> NDArray[np.float64]:
            share = weights / weights.sum(axis=1, keepdims=True)
            spread = offsets - np.einsum("mk,mki->mi", share, offsets)[:, None]
            axes = np.linalg.eigh(np.swapaxes(share[..., None] * spread, 1, 2) @ spread)[1]
            z, u, v = np.moveaxis(offsets @ axes, 2, 0)
            powers = [np.ones_like(u), u, v, u * u, u * v, v * v][: 3 * self.degree]
            terms = np.stack(powers, axis=2)
            weighted = np.swapaxes(share[..., None] * terms, 1, 2)
            # points on a line have no quadric: the ridge takes the flattest
            normal_matrix = weighted @ terms + 1e-9 * np.eye(len(powers))
            height = np.linalg.solve(normal_matrix, weighted @ z[..., None])[:, 0, 0]
            displacement: NDArray[np.float64] = height[:, None] * axes[:, :, 0]
            return displacement

        return project(points, self.neighbours, self.steps, to_polynomial)
