import numpy as np
import pytest

from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.normal_angle import normal_angle


@pytest.mark.parametrize("degrees", [0, 10, 89])
def test_a_tilted_plane(degrees, grid, square):
    tilt = np.radians(degrees)
    tilted = grid @ np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    assert normal_angle(Comparison(tilted, grid, square)) == pytest.approx(degrees, abs=1e-3)
    assert normal_angle(Comparison(tilted, grid)) == pytest.approx(degrees, abs=1e-3)


def test_noise_turns_normals(grid, square):
    noise = np.random.default_rng(0).normal(size=grid.shape) * 0.05
    assert normal_angle(Comparison(grid + noise, grid, square)) > 5


def test_too_few_points_for_a_plane(grid):
    assert normal_angle(Comparison(grid[:2], grid)) is None
