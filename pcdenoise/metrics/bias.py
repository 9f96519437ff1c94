"""Whether a result shrinks or swells."""

import numpy as np

from pcdenoise.metrics.comparison import Comparison


def bias(pair: Comparison) -> float:
    """Mean signed distance from the reference surface, in its R: below 0 inside, where a denoiser shrinks the shape.

        1/|X| sum_x d(x, S) sign((x - foot of x) . N(foot of x))

    The mesh is the reference where there is one, and outside is above 0 if it is closed; otherwise the side the normals
    point to is (those of the clean cloud, whose tangent planes then stand for the surface).
    """
    return float(np.mean(pair.nearest.signed))
