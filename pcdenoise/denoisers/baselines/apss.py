"""Projection onto algebraic spheres."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.oriented import oriented_normals
from pcdenoise.denoisers.baselines.projection_steps import project
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Apss(TunedMethod):
    """Algebraic point set surfaces: the surface is where the spheres fitted to points and normals pass.

    About the moving point as origin, the sphere `u_0 + u . x + u_4 x . x = 0` whose gradient fits the normals n_i is,
    with weights w_i that sum to 1 and P = sum w_i p_i, N = sum w_i n_i,

        u_4 = roundness / 2 (sum w_i p_i . n_i - P . N) / (sum w_i p_i . p_i - P . P)
        u = N - 2 u_4 P,   u_0 = -u . P - u_4 sum w_i p_i . p_i.

    The point goes along u to the sphere, `steps` times, each time with its neighbours there.

    MeshLab's filter is not used, because two runs of it differ now and then.

    Args:
        neighbours: within the kernel, at least 6.
        plane: points of the plane that a normal n_i is from, with the point itself; at least 3.
        roundness: from 0 (planes) to 1 (spheres).
        steps: at least 1.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = (
        "Guennebaud and Gross, Algebraic point set surfaces (SIGGRAPH 2007), with the fit of Guennebaud, Germann and "
        "Gross, Dynamic sampling and rendering of algebraic point set surfaces (CGF 2008)"
    )

    neighbours: int = 64
    plane: int = 24
    roundness: float = 1.0
    steps: int = 3

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 6)
        self._require_whole("plane", 3)
        self._require(0 <= self.roundness <= 1, "roundness", self.roundness, "a number from 0 to 1")
        self._require_whole("steps")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""
        normals = oriented_normals(points, self.plane)

        def to_sphere(
            offsets: NDArray[np.float64], weights: NDArray[np.float64], rows: NDArray[np.int32]
        ) -> NDArray[np.float64]:
            share = weights / weights.sum(axis=1, keepdims=True)
            around = normals[rows]
            position, normal = np.einsum("mk,mki->mi", share, offsets), np.einsum("mk,mki->mi", share, around)
            square = np.einsum("mk,mki,mki->m", share, offsets, offsets)
            turning = np.einsum("mk,mki,mki->m", share, offsets, around) - (position * normal).sum(axis=1)
            u4 = 0.5 * self.roundness * turning / (square - (position * position).sum(axis=1))
            u = normal - 2 * u4[:, None] * position
            u0 = -(u * position).sum(axis=1) - u4 * square
            # t u lies on the sphere: u_0 + t |u|^2 + t^2 u_4 |u|^2 = 0; without a root, the plane
            length = (u * u).sum(axis=1)
            root = np.sqrt(np.maximum(length**2 - 4 * u4 * length * u0, 0.0))
            displacement: NDArray[np.float64] = -2 * (u0 / (length + root))[:, None] * u
            return displacement

        return project(points, self.neighbours, self.steps, to_sphere)
