import numpy as np
import pytest

from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.f_score import f_score

CLEAN = np.array([[-1.0, 0, 0], [0, 0, 0], [0.5, 0, 0], [1, 0, 0]])  # R = 1
BESIDE = CLEAN + np.array([0, 0.03, 0])


def test_half_the_points_right_and_a_quarter_of_the_surface_found():
    result = np.array([[-1.0, 0.01, 0], [0, 5, 0]])
    assert f_score(Comparison(result, CLEAN)) == pytest.approx(2 * 0.5 * 0.25 / (0.5 + 0.25))


def test_everything_and_nothing():
    assert f_score(Comparison(CLEAN, CLEAN)) == 1
    assert f_score(Comparison(BESIDE, CLEAN)) == 0


def test_the_threshold_counts_in_radii():
    moved = 1e3 * BESIDE
    assert f_score(Comparison(moved, 1e3 * CLEAN), threshold=0.031) == 1
    assert f_score(Comparison(moved, 1e3 * CLEAN), threshold=0.029) == 0
