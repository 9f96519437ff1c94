"""Moving points onto a surface that their neighbours define, a block of them at a time."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.neighbours import build_tree, query_tree

_BLOCK = 1 << 20  # neighbours held at once

Step = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]], NDArray[np.float64]]


def project(points: NDArray[np.float64], neighbours: int, steps: int, step: Step) -> NDArray[np.float64]:
    """Where points get to that take `steps` steps about a cloud that stays.

    Args:
        points: (n, 3), the cloud and the starts.
        neighbours: k, points of the cloud nearest to a moving point; lowered to n in a smaller cloud.
        steps: of each point.
        step: called with the vectors (m, k, 3) from moving points to their neighbours, the weights (m, k) of these,

                w = (1 - (d / h)^2)^4,   h the distance of the farthest,

            and their rows (m, k); gives displacements (m, 3). One that is not finite is not made.

    Returns:
        (n, 3).
    """
    k = min(neighbours, len(points))
    tree = build_tree(points)
    moving = points.copy()
    block = max(1, _BLOCK // k)
    for first in range(0, len(points), block):
        x = moving[first : first + block]
        for _ in range(steps):
            distances, rows = query_tree(tree, x, k)
            radius = np.maximum(distances[:, -1:], np.finfo(float).tiny)
            weights = (1 - (distances / radius) ** 2) ** 4
            displacement = step(points[rows] - x[:, None], weights, rows)
            x += np.where(np.isfinite(displacement).all(axis=1, keepdims=True), displacement, 0.0)
    return moving
