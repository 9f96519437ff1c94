import numpy as np
import pytest

from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.displacement import (
    displacement_percentile,
    gaussian_share,
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


def test_residuals_of_gaussian_noise_pass_and_others_fail(grid, square):
    axis = np.linspace(-1, 1, 60)
    clean = np.stack(np.meshgrid(axis, axis, [0.0]), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    gaussian, outliers = np.zeros((2, *clean.shape))
    gaussian[:, 2] = 0.02 * rng.standard_normal(len(clean))
    outliers[:, 2] = 0.005 * rng.standard_t(2, len(clean))
    assert gaussian_share(Comparison(clean, clean, square, clean + gaussian)) > 0.95
    assert gaussian_share(Comparison(clean, clean, square, clean + outliers)) < 0.2


def test_residuals_that_tell_nothing(grid):
    assert gaussian_share(Comparison(grid, grid, noisy=grid)) is None
    few = grid[:100]
    assert gaussian_share(Comparison(few, grid, noisy=few + 0.01)) is None
