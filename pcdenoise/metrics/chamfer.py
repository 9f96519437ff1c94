"""Chamfer distance, as the denoising literature reports it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn


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
    for name, cloud in (("result", result), ("clean cloud", clean)):
        if len(cloud) == 0 or not np.isfinite(cloud).all():
            raise InputError(f"the {name} is empty or holds NaN or infinity; give finite points only")
    frame = Frame.unit_sphere(clean)
    x, y = frame.to_local(result), frame.to_local(clean)
    there, back = knn(y, 1, x)[0], knn(x, 1, y)[0]
    return float(np.mean(there**2) + np.mean(back**2))
