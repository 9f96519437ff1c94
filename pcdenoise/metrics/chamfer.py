"""Chamfer distance, as the denoising literature reports it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.metrics.comparison import Comparison


def chamfer_distance(result: NDArray[Any], clean: NDArray[Any]) -> float:
    """How far two clouds are from each other, in squared radii of the clean one.

    With `X` the result and `Y` the clean cloud, both in the unit-sphere frame of `Y` (centre: midpoint of its bounding
    box; scale: largest distance of its points from there),

        CD = 1/|X| sum_x min_y |x - y|^2  +  1/|Y| sum_y min_x |x - y|^2

    without a factor; tables multiply it by 1e4. The convention is that of Luo and Hu, "Score-Based Point Cloud
    Denoising" (ICCV 2021), and of the papers that compare with it.

    Args:
        result: (n, 3), at least one point, finite.
        clean: (m, 3), at least two different points, finite.

    Raises:
        InputError: a cloud is empty or not finite, or the clean one has no extent.
    """
    return chamfer(Comparison(result, clean))


def chamfer(pair: Comparison) -> float:
    """The same of a pair, in R^2 of the clean cloud."""
    return float(np.mean(pair.to_clean**2) + np.mean(pair.to_result**2))


def chamfer_l1(pair: Comparison) -> float:
    """Mean of the two mean distances, in R of the clean cloud: outliers count less than in `chamfer`.

        CD-L1 = 1/2 (1/|X| sum_x min_y |x - y|  +  1/|Y| sum_y min_x |x - y|)

    Mescheder et al., "Occupancy Networks" (CVPR 2019), and Yuan et al., "PCN" (3DV 2018), up to their scale.
    """
    return 0.5 * float(np.mean(pair.to_clean) + np.mean(pair.to_result))
