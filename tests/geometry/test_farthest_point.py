import numpy as np
import pytest
from scipy.spatial.distance import cdist

from pcdenoise.errors import InputError
from pcdenoise.geometry.farthest_point import farthest_point_sampling


def test_on_a_line():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [8, 0, 0]])
    np.testing.assert_array_equal(farthest_point_sampling(points, 5), [0, 4, 3, 1, 2])
    np.testing.assert_array_equal(farthest_point_sampling(points, 2, start=3), [3, 4])


def test_each_is_the_farthest_from_those_before():
    points = np.random.default_rng(0).normal(size=(400, 3))
    chosen = farthest_point_sampling(points, 40, start=7)
    distances = cdist(points, points)
    for t in range(1, 40):
        assert chosen[t] == distances[chosen[:t]].min(axis=0).argmax()


def test_all_points_come_once_even_if_they_coincide():
    points = np.repeat(np.random.default_rng(0).normal(size=(10, 3)), 3, axis=0)
    chosen = farthest_point_sampling(points, 30)
    assert sorted(chosen) == list(range(30))
    assert len(np.unique(points[chosen[:10]], axis=0)) == 10


def test_far_origin_and_unit_change_nothing():
    points = np.random.default_rng(0).normal(size=(300, 3))
    expected = farthest_point_sampling(points, 30)
    np.testing.assert_array_equal(farthest_point_sampling(1e3 * points + [5e5, 5.4e6, 0], 30), expected)


@pytest.mark.parametrize(("m", "start"), [(0, 0), (6, 0), (1, 5), (1, -1)])
def test_out_of_range_is_an_error(m, start):
    with pytest.raises(InputError):
        farthest_point_sampling(np.zeros((5, 3)), m, start)


def test_nan_is_an_error():
    with pytest.raises(InputError, match="finite"):
        farthest_point_sampling(np.full((5, 3), np.nan), 2)
