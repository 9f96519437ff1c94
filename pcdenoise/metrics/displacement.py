"""How far a denoiser moved the points, in which direction, and to whose benefit."""

import numpy as np
from numpy.typing import NDArray

from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.residuals import NEIGHBOURS, jarque_bera_pass_rate


def mean_displacement(pair: Comparison) -> float:
    """`1/n sum_i |x_i - y_i|` from noisy `y_i` to result `x_i`, in R of the clean cloud."""
    return float(_lengths(pair).mean())


def rms_displacement(pair: Comparison) -> float:
    """`sqrt(1/n sum_i |x_i - y_i|^2)`, in R of the clean cloud: `sigma` for noise removed along the normal alone."""
    return float(np.sqrt(np.mean(_lengths(pair) ** 2)))


def displacement_percentile(pair: Comparison, percentile: float) -> float:
    """The length that `percentile` of all displacements do not exceed, in R of the clean cloud."""
    return float(np.percentile(_lengths(pair), percentile))


def tangential_displacement(pair: Comparison) -> float:
    """Mean length of what runs along the surface, in R of the clean cloud.

        1/n sum_i |u_i - (u_i . N_i) N_i|,    u_i = x_i - y_i

    with `N_i` the normal of the reference surface where it is nearest to the noisy point. Noise shows along the
    normal; moves along the surface do not bring it nearer, they spread the points.
    """
    u, normal = pair.displacement, pair.nearest_to_noisy.normal
    return float(np.linalg.norm(u - np.einsum("ni,ni->n", u, normal)[:, None] * normal, axis=1).mean())


def share_worse(pair: Comparison) -> float:
    """Share of points, 0 to 1, that are farther from the reference surface than they were before.

    1/n #{i : d(x_i, S) > d(y_i, S)}
    """
    return float(np.mean(np.abs(pair.nearest.signed) > np.abs(pair.nearest_to_noisy.signed)))


def gaussian_share(pair: Comparison) -> float | None:
    """Share of neighbourhoods, 0 to 1, in which what was taken away looks like Gaussian noise: Jarque-Bera tests.

    The residuals `y_i - x_i` along the result's normals are tested in disjoint neighbourhoods of 64 points, the false
    discovery rate held at 5 % (`jarque_bera_pass_rate`). About 1 where Gaussian noise was removed and nothing else;
    noise of another distribution fails as well. None for less than two neighbourhoods, and where nothing moved.
    """
    if len(pair.result) < 2 * NEIGHBOURS:
        return None
    share = jarque_bera_pass_rate(-pair.displacement, pair.frame.to_local(pair.result))
    return None if np.isnan(share) else share


def _lengths(pair: Comparison) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(pair.displacement, axis=1))
