import numpy as np
import pytest

from pcdenoise.metrics.bias import bias
from pcdenoise.metrics.comparison import Comparison


@pytest.mark.parametrize("growth", [-0.02, 0.02])
def test_a_sphere_that_shrinks_or_swells(growth, sphere, ball):
    moved = 3 * (1 + growth) * sphere
    assert bias(Comparison(moved, 3 * sphere, (3 * ball[0], ball[1]))) == pytest.approx(growth, abs=1e-3)
    assert bias(Comparison(moved, 3 * sphere, normals=sphere)) == pytest.approx(growth, rel=1e-3)


def test_what_is_lost_on_one_side_may_be_won_on_the_other(sphere, ball):
    moved = sphere * np.where(np.arange(len(sphere)) % 2, 1.02, 0.98)[:, None]
    assert bias(Comparison(moved, sphere, ball)) == pytest.approx(0, abs=1e-3)
