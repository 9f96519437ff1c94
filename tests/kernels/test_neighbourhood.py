import numpy as np
import pytest
import torch

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.neighbourhood import build_graph, local_spacing


def test_moments_and_edges_against_numpy():
    points = np.random.default_rng(0).random((40, 3)) + 1e6
    _, idx = knn(points, 8)
    spacing = np.linspace(0.5, 2, 40)
    graph = build_graph(points, idx, spacing, (4, 8), (40,))
    offsets = (points[idx] - points[:, None]) / spacing[:, None, None]
    np.testing.assert_allclose(graph.edges[..., :3], offsets, atol=1e-6)
    np.testing.assert_allclose(graph.edges[..., 3], np.linalg.norm(offsets, axis=2), atol=1e-6)
    for size, k in enumerate((4, 8)):
        np.testing.assert_allclose(graph.moments[:, size, :3], offsets[:, :k].mean(axis=1), atol=1e-6)
        for row in range(40):
            covariance = np.cov(offsets[row, :k].T, bias=True)
            wanted = covariance[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
            np.testing.assert_allclose(graph.moments[row, size, 3:], wanted, atol=1e-6)


def test_spacing_of_a_square_grid():
    grid = np.stack(np.meshgrid(np.arange(30.0), np.arange(30.0)), axis=-1).reshape(-1, 2) * 0.1
    points = np.column_stack([grid, np.zeros(900)])
    distances, idx = knn(points, 8)
    inner = ((grid > 0.5) & (grid < 2.4)).all(axis=1)
    # the 8th neighbour on a grid lies on the diagonal: sqrt(2) pitches, where a disc would reach sqrt(8 / pi)
    expected = 0.1 * np.sqrt(2) / np.sqrt(8 / np.pi)
    np.testing.assert_allclose(local_spacing(distances[:, 7], idx)[inner], expected)


def test_graph_moves_between_devices():
    points = np.random.default_rng(0).random((20, 3))
    graph = build_graph(points, knn(points, 4)[1], np.ones(20), (4,), (20,)).to("cpu")
    assert graph.edges.device == torch.device("cpu")
    assert graph.sizes == (20,)


def spacing_of(points):
    distances, idx = knn(points, 16)
    return local_spacing(distances[:, 7], idx)


def test_spacing_follows_the_density():
    rng = np.random.default_rng(0)
    dense = rng.random((4_000, 3)) * [1, 1, 0]
    sparse = rng.random((1_000, 3)) * [1, 1, 0] + [5, 0, 0]
    values = spacing_of(np.concatenate([dense, sparse]))
    assert np.median(values[4_000:]) / np.median(values[:4_000]) == pytest.approx(2, rel=0.05)


def test_spacing_withstands_an_outlier():
    points = np.stack([*np.meshgrid(np.arange(20.0), np.arange(20.0)), np.zeros((20, 20))], axis=-1).reshape(-1, 3)
    points[0] = [-1000, 0, 0]
    assert spacing_of(points).max() < 1.7  # corners and edges have fewer points within reach
