"""A cloud as several sparser ones."""

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.morton import morton_order

GAP = 3.0  # in diagonals of the cloud


def interleaved_subsets(points: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The subset (n,) of each point, 0 to count - 1: its rank along the Morton curve, modulo the count.

    Each subset covers the whole shape with `1 / count` of its density.
    """
    subsets = np.empty(len(points), np.int64)
    subsets[morton_order(points)] = np.arange(len(points)) % count
    return subsets


def subsets_apart(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Shifts that lay the interleaved subsets of a cloud side by side along y.

    They are so far apart that no point has a neighbour in another subset, as long as its own has enough points: one
    k-NN graph of the shifted cloud is that of all subsets, each on its own.

    Args:
        points: (n, 3), finite.
        count: subsets.

    Returns:
        (n, 3), to be added to the points; zero for the first subset.
    """
    shifts = np.zeros_like(points)
    if count > 1:
        shifts[:, 1] = GAP * np.linalg.norm(np.ptp(points, axis=0)) * interleaved_subsets(points, count)
    return shifts
