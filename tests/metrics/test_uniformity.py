import numpy as np
import pytest

from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.uniformity import uniformity


def test_a_lattice_is_even(grid):
    assert uniformity(Comparison(grid, grid)) == pytest.approx(0, abs=1e-9)


def test_random_points_have_the_spread_of_a_rayleigh_variable():
    points = np.random.default_rng(0).random((40_000, 3)) * [1, 1, 0]
    # nearest distances of a Poisson process in the plane: P(d > r) = exp(-pi density r^2)
    assert uniformity(Comparison(points, points)) == pytest.approx(np.sqrt(4 / np.pi - 1), rel=0.02)


def test_pairs_are_less_even_than_random_points():
    points = np.random.default_rng(0).random((500, 3)) * [1, 1, 0]
    pairs = np.concatenate([points[:250], points[:250] + np.array([1e-4, 0, 0])])
    pairs[:5] += [0, 0.01, 0]
    assert uniformity(Comparison(pairs, points)) > 1


def test_what_has_no_spread(grid):
    assert uniformity(Comparison(grid[:1], grid)) is None
    assert uniformity(Comparison(grid[[0, 0, 0]], grid)) is None
