"""Variances of chains, with the error that sampling leaves in them."""

import math
from collections.abc import Iterator

from torch import Tensor


def pooled_variance(iterates: Iterator[Tensor], burn_in: int, gain: float) -> tuple[float, float]:
    """Mean square of centred chains `x' = gain x + noise` after burn-in, and its standard error over its variance.

    Each coordinate of each row is a chain of its own. Squares of a Gaussian AR(1) process are correlated by
    `gain^(2 lag)`, so N of them are worth `N (1 - gain^2) / (1 + gain^2)`; the mean of m independent squares has the
    relative standard error `sqrt(2 / m)`.
    """
    total, count = 0.0, 0
    for step, x in enumerate(iterates):
        if step >= burn_in:
            total, count = total + x.square().sum().item(), count + x.numel()
    effective = count * (1 - gain**2) / (1 + gain**2)
    return total / count, math.sqrt(2 / effective)
