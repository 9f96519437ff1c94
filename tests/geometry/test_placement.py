import numpy as np
import pytest

from pcdenoise.errors import InputError
from pcdenoise.geometry.placement import Placement, check_one_place


def test_median_does_not_follow_points_gone_astray(sphere):
    astray = np.vstack([sphere + np.array([5, 0, 0]), np.full((100, 3), 1e6)])
    placement = Placement.median(astray)
    np.testing.assert_allclose(placement.centre, [5, 0, 0], atol=0.1)
    assert placement.radius == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1000, r"^b is about 1,000 times as large as a; bring both to one unit \(millimetres and metres\?\)$"),
        (0.001, r"^b is about 1,000 times smaller than a; bring both to one unit \(millimetres and metres\?\)$"),
        (25.4, r"^b is about 25 times as large as a; bring both to one unit$"),
    ],
)
def test_other_units_are_told(sphere, factor, words):
    with pytest.raises(InputError, match=words):
        check_one_place("b", Placement.median(factor * sphere), "a", Placement.median(sphere))


def test_another_coordinate_system_is_told(sphere):
    with pytest.raises(InputError, match=r"b lies 50 radii away from a; bring both to one coordinate system"):
        check_one_place("b", Placement.median(sphere + np.array([0, 50, 0])), "a", Placement.median(sphere))


def test_noise_shift_and_single_points_pass(sphere):
    check_one_place("b", Placement.median(1.5 * sphere + 3), "a", Placement.median(sphere))
    check_one_place("b", Placement.median(np.zeros((1, 3))), "a", Placement.median(sphere))
    check_one_place("b", Placement.median(sphere), "a", Placement.median(np.ones((1, 3))))
