import numpy as np
import pytest

from pcdenoise.geometry.noise import local_spacing, scattered, spacing


def grid(n):
    axis = np.arange(n, dtype=np.float64)
    return np.stack([*np.meshgrid(axis, axis, indexing="ij"), np.zeros((n, n))], axis=2).reshape(-1, 3)


def test_the_eighth_neighbour_on_a_grid_is_the_diagonal_one():
    assert spacing(grid(50)) == pytest.approx(np.sqrt(2) / np.sqrt(8 / np.pi))


def test_spacing_is_about_the_inverse_root_of_the_density():
    points = np.random.default_rng(0).random((20_000, 3)) * [1, 1, 0]
    assert spacing(points) * np.sqrt(20_000) == pytest.approx(1, rel=0.03)


def test_spacing_of_a_large_cloud_depends_on_neither_order_nor_origin():
    rng = np.random.default_rng(0)
    points = rng.random((30_000, 3))
    shuffled = rng.permutation(points) + np.array([500_000.0, 5_400_000.0, 300.0])
    assert spacing(shuffled) == pytest.approx(spacing(points), rel=1e-6)
    np.testing.assert_array_equal(scattered(points, 100), scattered(rng.permutation(points), 100))


def test_local_spacing_follows_the_density():
    rng = np.random.default_rng(0)
    dense = rng.random((4_000, 3)) * [1, 1, 0]
    sparse = rng.random((1_000, 3)) * [1, 1, 0] + [5, 0, 0]
    values = local_spacing(np.concatenate([dense, sparse]))
    assert np.median(values[4_000:]) / np.median(values[:4_000]) == pytest.approx(2, rel=0.05)


def test_local_spacing_withstands_an_outlier():
    points = grid(20)
    points[0] = [-1000, 0, 0]
    assert local_spacing(points).max() < 1.3


@pytest.mark.parametrize("n", [0, 1])
def test_less_than_two_points_have_no_spacing(n):
    assert spacing(np.zeros((n, 3))) == 0
    np.testing.assert_array_equal(local_spacing(np.zeros((n, 3))), np.zeros(n))


def test_small_and_coincident_clouds():
    assert spacing(np.array([[0.0, 0, 0], [1, 0, 0]])) == pytest.approx(np.sqrt(np.pi))
    assert spacing(np.ones((40, 3))) == 0
