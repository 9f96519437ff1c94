import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from pcdenoise.errors import InputError
from pcdenoise.geometry.neighbours import knn


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(300, 3))


def brute_force(points, k, queries=None, include_self=False):
    distances = cdist(points if queries is None else queries, points)
    if queries is None and not include_self:
        np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


@pytest.mark.parametrize("include_self", [False, True])
def test_agrees_with_brute_force(points, include_self):
    distances, indices = knn(points, 7, include_self=include_self)
    expected, expected_indices = brute_force(points, 7, include_self=include_self)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-12)
    assert indices.dtype == np.int32


def test_agrees_with_brute_force_for_queries(points):
    queries = np.random.default_rng(1).normal(size=(50, 3))
    distances, indices = knn(points, 1, queries)
    expected, expected_indices = brute_force(points, 1, queries)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


def test_keeps_the_type(points):
    distances, _ = knn(points.astype(np.float32), 3)
    assert distances.dtype == np.float32


def test_equally_distant_neighbours_come_in_the_order_of_their_index():
    corners = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    shuffled = corners[np.random.default_rng(0).permutation(8)]
    _, indices = knn(shuffled, 8, np.zeros((1, 3)))
    np.testing.assert_array_equal(indices[0], np.arange(8))


@pytest.mark.parametrize("copies", [2, 5, 40])
def test_a_duplicated_point_is_never_its_own_neighbour(points, copies):
    cloud = np.concatenate([points[:20]] * copies)
    distances, indices = knn(cloud, 4)
    assert not (indices == np.arange(len(cloud))[:, None]).any()
    expected, _ = brute_force(cloud, 4)
    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-7)


def test_with_itself_a_duplicated_point_always_is():
    cloud = np.zeros((30, 3))
    _, indices = knn(cloud, 4, include_self=True)
    assert (indices == np.arange(30)[:, None]).any(axis=1).all()
    assert (np.diff(indices, axis=1) > 0).all()


@pytest.mark.parametrize("k", [0, 300])
def test_more_neighbours_than_points_is_an_error(points, k):
    with pytest.raises(InputError, match="ask for 1 to 299"):
        knn(points, k)


def test_all_points_may_be_neighbours_of_a_query(points):
    assert knn(points, 300, points[:2])[1].shape == (2, 300)
    assert knn(points, 300, include_self=True)[1].shape == (300, 300)


def test_coordinates_that_are_not_finite_are_an_error(points):
    points[3, 1] = np.nan
    with pytest.raises(InputError, match="finite"):
        knn(points, 3)
    with pytest.raises(InputError, match="finite"):
        knn(points[10:], 3, points[:10])


def test_tensors_in_tensors_out(points):
    distances, indices = knn(torch.from_numpy(points), 5)
    expected, expected_indices = knn(points, 5)
    assert indices.dtype == torch.int64
    np.testing.assert_array_equal(indices.numpy(), expected_indices)
    np.testing.assert_array_equal(distances.numpy(), expected)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_answer(points):
    distances, indices = knn(torch.from_numpy(points).cuda(), 6)
    expected, expected_indices = knn(points, 6)
    np.testing.assert_array_equal(indices.cpu().numpy(), expected_indices)
    np.testing.assert_allclose(distances.cpu().numpy(), expected, rtol=1e-12)
