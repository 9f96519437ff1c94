import numpy as np
import pytest

from pcdenoise.datasets.noise_models import Gaussian
from pcdenoise.errors import UsageError


def test_level_is_relative_to_the_bounding_sphere() -> None:
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((60_000, 3))
    clean *= 5 / np.linalg.norm(clean, axis=1, keepdims=True)  # a sphere of radius 5
    clean += [100, -200, 300]
    residual = Gaussian(0.02)(clean, rng) - clean
    np.testing.assert_allclose(residual.std(axis=0), 0.1, rtol=0.015)
    np.testing.assert_allclose(residual.mean(axis=0), 0, atol=0.002)
    assert np.abs(np.corrcoef(residual.T) - np.eye(3)).max() < 0.02


def test_off_centre_shape_uses_the_box_midpoint_not_the_mean() -> None:
    clean = np.concatenate([np.zeros((50_000, 3)), [[2.0, 0, 0]]])
    residual = Gaussian(0.01)(clean, np.random.default_rng(1)) - clean
    assert residual.std() == pytest.approx(0.01, rel=0.01)


def test_generator_decides_and_input_stays() -> None:
    clean = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    kept = clean.copy()
    first, again = (Gaussian(0.1)(clean, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(clean, kept)
    np.testing.assert_array_equal(Gaussian(0)(clean, np.random.default_rng(3)), clean)


@pytest.mark.parametrize("level", [-0.1, float("nan")])
def test_negative_level(level: float) -> None:
    with pytest.raises(UsageError, match="at least 0"):
        Gaussian(level)
