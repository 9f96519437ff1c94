import numpy as np
import pytest
import torch

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.array_graph import MOMENTS
from pcdenoise.kernels.neighbourhood import build_graph
from pcdenoise.kernels.noisy_moments import with_noisy_moments
from pcdenoise.kernels.wider_moments import with_wider_moments

K, HOPS, SCALES = 8, 2, 4


@pytest.fixture(scope="module")
def graph():
    """Of 200 points with spacings of their own."""
    points = np.random.default_rng(0).random((200, 3))
    spacing = np.random.default_rng(1).uniform(0.5, 2, 200)
    return points, build_graph(points, knn(points, K)[1], spacing, (4, K), (200,) * (HOPS + 1))


def measured(points, noisy, graph):
    points, noisy = torch.from_numpy(points), torch.from_numpy(noisy)
    return with_noisy_moments(graph, points, noisy, (4, K), HOPS)


def test_points_that_were_not_moved_are_seen_twice(graph):
    points, graph = graph
    wider, found = with_wider_moments(graph, HOPS), measured(points, points, graph)
    assert found.moments.shape == (200, 2 * SCALES + 1, MOMENTS)
    assert found.sizes == wider.sizes
    assert torch.equal(found.moments[:, :SCALES], wider.moments)
    assert not found.moments[:, SCALES].any()
    torch.testing.assert_close(found.moments[:, SCALES + 1 :], wider.moments, rtol=1e-5, atol=1e-6)


def test_a_shift_of_all_is_found_by_every_neighbourhood(graph):
    points, graph = graph
    shift = np.array([0.3, -0.1, 0.2])
    wanted = with_wider_moments(graph, HOPS).moments.clone()
    found = measured(points, points + shift, graph).moments[:, SCALES:]
    wanted[:, :, :3] += torch.from_numpy(shift).float() / graph.spacing[:, None]
    torch.testing.assert_close(found[:, 1:], wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[:, 0, :3], wanted[:, 0, :3] - graph.moments[:, 0, :3], rtol=1e-4, atol=1e-5)


def test_the_mean_and_covariance_are_those_of_the_noisy_positions(graph):
    points, graph = graph
    noisy = points + 0.2 * np.random.default_rng(2).standard_normal(points.shape)
    found = measured(points, noisy, graph).moments[:, SCALES + 2].numpy()
    offsets = (noisy[graph.idx.numpy()] - points[:, None]) / graph.spacing.numpy()[:, None]
    for i in (0, 77, 199):
        covariance = np.cov(offsets[i].T, bias=True)[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        np.testing.assert_allclose(found[i, :3], offsets[i].mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[i, 3:], covariance, rtol=1e-4, atol=1e-5)


def test_what_is_far_from_the_origin_costs_no_accuracy(graph):
    points, graph = graph
    noisy = points + 0.2 * np.random.default_rng(2).standard_normal(points.shape)
    near, far = measured(points, noisy, graph), measured(points + 1e6, noisy + 1e6, graph)
    torch.testing.assert_close(near.moments, far.moments, rtol=1e-5, atol=1e-5)
