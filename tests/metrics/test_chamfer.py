import numpy as np
import pytest
from scipy.spatial.distance import cdist

from pcdenoise.errors import InputError
from pcdenoise.metrics.chamfer import chamfer_distance, chamfer_l1
from pcdenoise.metrics.comparison import Comparison


@pytest.fixture
def sphere():
    points = np.random.default_rng(0).normal(size=(2_000, 3))
    points = np.concatenate([points, -points, np.eye(3), -np.eye(3)])
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_cloud_is_at_no_distance_from_itself(sphere):
    assert chamfer_distance(sphere, sphere) == 0


@pytest.mark.parametrize("factor", [1.001, 0.999])
def test_a_swollen_sphere_is_off_by_its_growth_in_both_directions(sphere, factor):
    # a shift of 0.001 is far less than half the distance of any two points, so that each finds itself
    assert chamfer_distance(factor * sphere, sphere) == pytest.approx(2 * 0.001**2, rel=1e-2)


def test_one_point_against_two():
    # frame of the clean cloud: centre 0, scale 2; distances 1 there; 1 and 3 back
    clean, result = np.array([[-2.0, 0, 0], [2, 0, 0]]), np.array([[1.0, 0, 0]])
    assert chamfer_distance(result, clean) == pytest.approx((1 + (1 + 9) / 2) / 4)


def test_agrees_with_brute_force(sphere):
    result = sphere[::3] + np.random.default_rng(0).normal(size=(len(sphere[::3]), 3)) * 0.1
    squared = cdist(result, sphere, "sqeuclidean")
    expected = squared.min(axis=1).mean() + squared.min(axis=0).mean()
    assert chamfer_distance(result, sphere) == pytest.approx(expected, rel=1e-9)


def test_knows_neither_unit_nor_origin(sphere):
    result = sphere + np.random.default_rng(0).normal(size=sphere.shape) * 0.1
    shift = np.array([500_000.0, 5_400_000.0, 300.0])
    moved = chamfer_distance(1e3 * result + shift, 1e3 * sphere + shift)
    assert moved == pytest.approx(chamfer_distance(result, sphere), rel=1e-6)


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.array([[0.0, np.nan, 0]]), np.array([[0.0, np.inf, 0]])])
def test_nothing_or_nan_is_an_error(sphere, bad):
    with pytest.raises(InputError, match="the result is empty"):
        chamfer_distance(bad, sphere)
    with pytest.raises(InputError, match="the clean cloud is empty"):
        chamfer_distance(sphere, bad)
    with pytest.raises(InputError, match="scale"):
        chamfer_distance(sphere, np.ones((5, 3)))


def test_the_mean_of_distances():
    clean, result = np.array([[-2.0, 0, 0], [2, 0, 0]]), np.array([[1.0, 0, 0]])
    assert chamfer_l1(Comparison(result, clean)) == pytest.approx((1 + (1 + 3) / 2) / 2 / 2)
