import math

import numpy as np
import pytest

from pcdenoise.bench import statistics
from pcdenoise.bench.statistics import mean, paired_difference


def shapes(values):
    return {f"shape {i}": float(value) for i, value in enumerate(values)}


def test_the_interval_covers_the_mean_of_a_normal_sample_as_often_as_it_says(monkeypatch):
    """Of 20 normal differences, a bootstrap covers a little less than 95 %: 93 % by the variance of n - 1 of n."""
    monkeypatch.setattr(statistics, "RESAMPLES", 999)
    rng = np.random.default_rng(0)
    covered, widths = 0, []
    for _ in range(300):
        found = paired_difference(shapes(rng.normal(0.7, 2.0, 20)), shapes(np.zeros(20)))
        covered += found.low <= 0.7 <= found.high
        widths.append(found.high - found.low)
    assert 0.90 <= covered / 300 <= 0.965
    # the width of the normal interval, with the standard deviation as a bootstrap sees it
    assert np.mean(widths) == pytest.approx(2 * 1.96 * 2.0 / math.sqrt(20) * math.sqrt(19 / 20), rel=0.06)


def test_shapes_are_compared_in_pairs():
    """Shapes a thousand times apart do not blur a difference that is the same on all of them."""
    rng = np.random.default_rng(1)
    base = 1000 * rng.random(20)
    found = paired_difference(shapes(base - 0.5 + 0.01 * rng.standard_normal(20)), shapes(base))
    assert found.mean == pytest.approx(-0.5, abs=0.01)
    assert -0.51 < found.low < found.mean < found.high < -0.49


def test_order_of_the_shapes_does_not_matter():
    values, base = shapes([3.0, 1.0, 2.0]), shapes([1.0, 1.0, 5.0])
    reordered = dict(reversed(base.items()))
    assert paired_difference(values, reordered) == paired_difference(values, base)


def test_degenerate_samples():
    assert paired_difference(shapes([2, 3]), shapes([1, 2])) == (1, 1, 1)
    single = paired_difference(shapes([2]), shapes([1]))
    assert single.mean == 1
    assert math.isnan(single.low)
    for values, base in (([], []), ([1, math.nan], [1, 1]), ([1, 2], [1])):
        assert all(map(math.isnan, paired_difference(shapes(values), shapes(base))))


def test_a_mean_hides_no_nan():
    assert mean(shapes([1, 2, 6])) == 3
    assert math.isnan(mean(shapes([1, math.nan])))
    assert math.isnan(mean({}))
