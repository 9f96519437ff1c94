import numpy as np
import pytest

from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.displacement import (
    displacement_percentile,
    mean_displacement,
    rms_displacement,
    share_worse,
    tangential_displacement,
)


@pytest.fixture
def pair(grid, square):
    """A quarter of the noisy points is 0.4 above the square and comes down to 0.1, the others stay."""
    noisy, result = grid.copy(), grid.copy()
    noisy[:100, 2], result[:100, 2] = 0.4, 0.1
    return Comparison(result, grid, square, noisy)


def test_lengths_in_radii_of_the_clean_cloud(pair):
    assert mean_displacement(pair) == pytest.approx(0.25 * 0.3 / 2**0.5)
    assert rms_displacement(pair) == pytest.approx(0.5 * 0.3 / 2**0.5)
    assert displacement_percentile(pair, 100) == pytest.approx(0.3 / 2**0.5)
    assert displacement_percentile(pair, 50) == 0


def test_what_runs_along_the_surface(pair, grid, square):
    assert tangential_displacement(pair) == pytest.approx(0, abs=1e-12)
    slid = Comparison(grid + np.array([0, 0.2, 0]), grid, square, grid + np.array([0, 0, 0.3]))
    assert tangential_displacement(slid) == pytest.approx(0.2 / 2**0.5)
    assert mean_displacement(slid) == pytest.approx(np.hypot(0.2, 0.3) / 2**0.5)


def test_share_worse(pair, grid, square):
    assert share_worse(pair) == 0
    worse = Comparison(pair.noisy, grid, square, pair.result)
    assert share_worse(worse) == 0.25
    without_mesh = Comparison(pair.noisy, grid, noisy=pair.result)
    assert share_worse(without_mesh) == 0.25
