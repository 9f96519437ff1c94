"""Error of the normals: what roughness and rounded edges do to shading."""

import numpy as np

from pcdenoise.geometry.normals import plane_normals
from pcdenoise.metrics.comparison import Comparison


def normal_angle(pair: Comparison) -> float | None:
    """Mean angle in degrees, 0 to 90, between the result's normals and those of the reference surface.

        1/|X| sum_x arccos |n(x) . N(foot of x)|

    with `n(x)` the direction of least variance of the 16 points of the result nearest to `x`, and `N` the normal of
    the mesh where it is nearest (of the nearest clean point where there is no mesh). A clean cloud is not at 0, because
    its planes are fitted to neighbourhoods too. None for less than three points.
    """
    if len(pair.result) < 3:
        return None
    cosines = np.abs(np.einsum("ni,ni->n", plane_normals(pair.result), pair.nearest.normal))
    return float(np.degrees(np.arccos(np.minimum(cosines, 1.0))).mean())
