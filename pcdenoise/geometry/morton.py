"""The Morton curve, which visits near points one after another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 21


def morton_codes(cells: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """Places along the Morton curve: the bits of the three coordinates in turn (Morton 1966).

    Args:
        cells: (n, 3) integers from 0 to 2^21 - 1.

    Returns:
        (n,).
    """
    codes = np.zeros(len(cells), np.uint64)
    for axis in range(3):
        bits = cells[:, axis].astype(np.uint64)
        for shift, mask in (
            (32, 0x1F00000000FFFF),
            (16, 0x1F0000FF0000FF),
            (8, 0x100F00F00F00F00F),
            (4, 0x10C30C30C30C30C3),
            (2, 0x1249249249249249),
        ):
            bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
        codes |= bits << np.uint64(axis)
    return codes


def morton_order(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of a cloud in the order of the Morton curve through its bounding cube.

    Args:
        points: (n, 3), finite. Points of one cell, a two-millionth of the cube wide, keep the order of their rows.

    Returns:
        (n,) a permutation.
    """
    lowest = points.min(axis=0)
    extent = (points - lowest).max()
    cells = ((points - lowest) * ((2**BITS - 1) / extent if extent > 0 else 0.0)).astype(np.int64)
    return np.argsort(morton_codes(cells), kind="stable")
