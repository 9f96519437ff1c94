"""Means over shapes, and how sure a difference is."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

CONFIDENCE = 0.95
RESAMPLES = 9999


class Interval(NamedTuple):
    """A mean difference and its confidence interval; NaN where there is none."""

    mean: float
    low: float
    high: float


def mean(values: Mapping[str, float]) -> float:
    """Over shapes; NaN if one of them is, or if there are none."""
    return math.fsum(values.values()) / len(values) if values else math.nan


def paired_difference(
    values: Mapping[str, float], baseline: Mapping[str, float], confidence: float = CONFIDENCE, seed: int = 0
) -> Interval:
    """Mean over shapes of value - baseline, with a bootstrap interval.

    Shapes differ far more than methods do on one shape, so the differences `d_s` on each shape are resampled and not
    the values. The interval is the bias-corrected and accelerated one (Efron, "Better Bootstrap Confidence Intervals",
    JASA 1987). It speaks of other shapes of the same kind; of few shapes it is a little too narrow.

    Args:
        values: by shape.
        baseline: by shape.
        confidence: of the interval, between 0 and 1.
        seed: of the resamples.

    Returns:
        NaN throughout if the shapes are not the same or one value is NaN; without limits for a single shape.
    """
    if not values or values.keys() != baseline.keys():
        return Interval(math.nan, math.nan, math.nan)
    differences = np.array([values[shape] - baseline[shape] for shape in values])
    if not np.isfinite(differences).all():
        return Interval(math.nan, math.nan, math.nan)
    centre = float(differences.mean())
    if len(differences) < 2:
        return Interval(centre, math.nan, math.nan)
    if np.ptp(differences) == 0:
        return Interval(centre, centre, centre)
    low, high = bootstrap(
        (differences,),
        np.mean,
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(centre, float(low), float(high))
