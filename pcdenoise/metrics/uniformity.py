"""How evenly the points of a result lie."""

from pcdenoise.geometry.neighbours import knn
from pcdenoise.metrics.comparison import Comparison


def uniformity(pair: Comparison) -> float | None:
    """Spread of the distances to the nearest neighbour, relative to their mean.

        sqrt(1/|X| sum_x (d_1(x) - m)^2) / m,    m = 1/|X| sum_x d_1(x)

    0 on a lattice, 0.52 for points thrown at random onto a plane, more where clusters form. Nothing but the result is
    looked at. None for a single point, and where all coincide.
    """
    if len(pair.result) < 2:
        return None
    nearest = knn(pair.frame.to_local(pair.result), 1)[0]
    return float(nearest.std() / nearest.mean()) if nearest.any() else None
