import numpy as np
import pytest

from pcdenoise.geometry.neighbours import knn
from pcdenoise.relaxation import relax_tangentially


@pytest.fixture
def plane():
    return np.random.default_rng(0).random((4000, 3)) * [60, 60, 0]


def nearest(points):
    inner = ((points[:, :2] > 5) & (points[:, :2] < 55)).all(axis=1)
    return knn(points, 1)[0][inner, 0]


def test_one_step_is_the_equation(plane):
    limit = np.linspace(0, 0.3, 4000)
    distances, idx = knn(plane, 12)
    support = 1.6 * np.median(distances[:, 7][idx], axis=1, keepdims=True) / np.sqrt(8 / np.pi)
    offsets = plane[:, None] - plane[idx]
    pushes = np.maximum(0, 1 - distances / support)[..., None] * offsets / distances[..., None]
    move = 0.15 * support * pushes.sum(axis=1)
    length = np.linalg.norm(move, axis=1)
    assert 0.1 < (length > limit).mean() < 0.9
    wanted = plane + move * np.minimum(1, limit / np.maximum(length, 1e-30))[:, None]
    np.testing.assert_allclose(relax_tangentially(plane, limit, steps=1, step=0.15, reach=1.6), wanted, atol=1e-12)


def test_points_of_a_plane_stay_on_it_and_spread(plane):
    relaxed = relax_tangentially(plane, np.full(4000, 1.0))
    np.testing.assert_allclose(relaxed[:, 2], 0, atol=1e-9)
    assert nearest(relaxed).std() / nearest(relaxed).mean() < 0.5 * nearest(plane).std() / nearest(plane).mean()


def test_a_regular_grid_hardly_moves():
    grid = np.stack([*np.meshgrid(np.arange(40.0), np.arange(40.0)), np.zeros((40, 40))], axis=-1).reshape(-1, 3)
    inner = ((grid[:, :2] > 5) & (grid[:, :2] < 34)).all(axis=1)
    moved = np.linalg.norm(relax_tangentially(grid, np.full(1600, 1.0)) - grid, axis=1)[inner]
    assert moved.max() < 1e-3


def test_no_point_goes_beyond_its_limit(plane):
    limit = np.linspace(0, 0.5, 4000)
    moved = np.linalg.norm(relax_tangentially(plane, limit) - plane, axis=1)
    assert (moved <= limit + 1e-12).all()
    assert moved[0] == 0


def test_the_sides_of_a_thin_plate_do_not_mix(plane):
    plate = np.concatenate([plane, plane + np.array([0.3, 0.2, 2.5])])
    relaxed = relax_tangentially(plate, np.full(8000, 1.0))
    off = np.abs(np.concatenate([relaxed[:4000, 2], relaxed[4000:, 2] - 2.5]))
    assert off.max() < 1.25
    assert np.quantile(off, 0.99) < 0.05


def test_order_does_not_matter(plane):
    order = np.random.default_rng(1).permutation(4000)
    limit = np.full(4000, 0.5)
    np.testing.assert_allclose(
        relax_tangentially(plane[order], limit), relax_tangentially(plane, limit)[order], atol=1e-9
    )


def test_where_nothing_can_move_the_points_come_back(plane):
    assert relax_tangentially(plane, np.zeros(4000)) is plane
    few = plane[:12]
    assert relax_tangentially(few, np.ones(12)) is few
