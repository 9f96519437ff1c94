"""Projection onto a surface that keeps its edges."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.local import library
from pcdenoise.denoisers.baselines.oriented import oriented_normals
from pcdenoise.denoisers.baselines.tuned import TunedMethod


@dataclass(frozen=True)
class Rimls(TunedMethod):
    """Robust implicit moving least squares: neighbours whose normals or distances do not fit lose their weight.

        f(x) = sum_i w_i n_i . (x - p_i) / sum_i w_i,
        w_i = phi(|x - p_i|) exp(-(r_i / s_r)^2) exp(-(|n_i - grad f| / sharpness)^2),

    with r_i the residual of neighbour i, iterated; a point goes to the zero of f along its gradient.

    Args:
        scale: radius of the kernel phi in the spacings of each point's own neighbourhood, above 0.
        plane: points of the plane that a normal n_i is from, with the point itself; at least 3.
        sharpness: width of the weight of normals, above 0; MeshLab advises 0.5 (edges) to 2 (smooth).

    Raises:
        UsageError: a number out of its range; in a call, pymeshlab is not installed.
    """

    source: ClassVar[str] = (
        "Öztireli, Guennebaud and Gross, Feature preserving point set surfaces based on non-linear kernel regression "
        "(Eurographics 2009); MeshLab compute_mls_projection_rimls"
    )
    least: ClassVar[int] = 32

    scale: float = 4.0
    plane: int = 24
    sharpness: float = 0.75

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_positive("scale")
        self._require_whole("plane", 3)
        self._require_positive("sharpness")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:  # noqa: ARG002
        """See `TunedMethod`."""
        meshlab = library("pymeshlab")
        normals = oriented_normals(points, self.plane)
        layers = meshlab.MeshSet()
        # The cloud that defines the surface and the cloud that is projected must be two layers: with one, MeshLab
        # changes the points while it reads them, and crashes.
        for _ in range(2):
            layers.add_mesh(meshlab.Mesh(vertex_matrix=points, v_normals_matrix=normals))
        layers.compute_mls_projection_rimls(
            controlmesh=1, proxymesh=0, filterscale=float(self.scale), sigman=float(self.sharpness)
        )
        projected = np.array(layers.mesh(0).vertex_matrix())
        # A point without enough neighbours in its kernel has no surface to go to.
        return np.where(np.isfinite(projected).all(axis=1, keepdims=True), projected, points)
