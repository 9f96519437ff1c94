import numpy as np
import pytest

from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.hausdorff import hausdorff

# frame of the clean cloud: scale 2; distance 1 there, 1 and 3 back
PAIR = Comparison(np.array([[1.0, 0, 0]]), np.array([[-2.0, 0, 0], [2, 0, 0]]))


def test_one_point_against_two():
    assert hausdorff(PAIR) == pytest.approx(3 / 2)
    assert hausdorff(PAIR, percentile=50) == pytest.approx(2 / 2)


def test_either_direction_may_be_the_larger(sphere):
    far = np.concatenate([sphere, [[3.0, 0, 0]]])
    assert hausdorff(Comparison(far, sphere)) == pytest.approx(2, abs=0.05)
    half = sphere[sphere[:, 2] > 0]
    assert hausdorff(Comparison(half, sphere)) == pytest.approx(np.sqrt(2), abs=0.05)


def test_percentiles_forget_the_outliers(sphere):
    result = sphere.copy()
    result[:40] *= 2  # 40 of 6000 are less than 1 %, and leave holes as small as the spacing
    pair = Comparison(result, sphere)
    assert hausdorff(pair) == pytest.approx(1, abs=0.05)
    assert hausdorff(pair, 99) < 0.1
    assert hausdorff(pair, 95) <= hausdorff(pair, 99) <= hausdorff(pair)
