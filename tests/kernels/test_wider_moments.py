import numpy as np
import pytest
import torch

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.array_graph import MOMENTS
from pcdenoise.kernels.neighbourhood import NeighbourGraph, build_graph, build_graph_at
from pcdenoise.kernels.wider_moments import with_wider_moments

K = 8


def graph_of(points, spacing, sizes):
    _, idx = knn(points, K)
    return build_graph(points, idx, spacing, (4, K), sizes)


def walk(points, idx, hops):
    """For each row the ends of all walks of `hops + 1` steps to neighbours, each walk as likely as any other."""
    ends = idx
    for _ in range(hops):
        ends = ends[idx].reshape(len(idx), -1)
    return points[ends]


def test_moments_are_those_of_random_walks():
    points = np.random.default_rng(0).random((200, 3))
    spacing = np.random.default_rng(1).uniform(0.5, 2, 200)
    graph = with_wider_moments(graph_of(points, spacing, (200,) * 4), 2)
    assert graph.moments.shape == (200, 4, MOMENTS)
    assert graph.sizes == (200, 200)
    for hops in (1, 2):
        ends = walk(points, graph.idx.numpy(), hops)
        offsets = (ends - points[:, None]) / spacing[:, None, None]
        mean, centred = offsets.mean(axis=1), offsets - offsets.mean(axis=1, keepdims=True)
        second = np.einsum("nka,nkb->nab", centred, centred) / centred.shape[1]
        cross = second[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        np.testing.assert_allclose(graph.moments[:, 1 + hops], np.hstack([mean, cross]), rtol=1e-4, atol=1e-4)


def test_no_hop_changes_nothing():
    graph = graph_of(np.random.default_rng(0).random((50, 3)), np.ones(50), (50,))
    assert with_wider_moments(graph, 0) is graph


def test_each_hop_uses_up_a_ring():
    """A row finds what it needs in the rings of a tile: the moments are those of the whole cloud."""
    points = np.random.default_rng(0).random((300, 3))
    spacing = np.ones(300)
    whole = with_wider_moments(graph_of(points, spacing, (300,) * 3), 2)
    _, idx = knn(points, K)
    rings = [np.arange(20)]
    sizes = []
    for _ in range(3):
        seen = np.concatenate(rings)
        sizes.append(len(seen))
        rings.append(np.setdiff1d(idx[seen], seen))
    members = np.concatenate(rings)
    place = np.empty(300, np.int32)
    place[members] = np.arange(len(members), dtype=np.int32)
    inner = members[: sizes[-1]]
    tile = build_graph(points[members], place[idx[inner]], spacing[inner], (4, K), tuple(reversed(sizes)))
    found = with_wider_moments(tile, 2)
    assert found.sizes == (20,)
    torch.testing.assert_close(found.moments, whole.moments[:20], rtol=1e-5, atol=1e-5)


def test_differentiable_moments_are_the_same_and_have_their_derivative():
    points = np.random.default_rng(0).random((40, 3))
    spacing = np.random.default_rng(1).uniform(0.5, 2, 40)
    _, idx = knn(points, K)
    unit = torch.from_numpy(spacing[:, None])

    def moments(x):
        graph = build_graph_at(x, torch.from_numpy(idx), unit, (4, K), (40,) * 3, torch.float64)
        return with_wider_moments(graph, 2).moments

    x = torch.from_numpy(points).requires_grad_()
    fused = with_wider_moments(graph_of(points, spacing, (40,) * 3), 2).moments
    torch.testing.assert_close(moments(x).detach().float(), fused, rtol=1e-4, atol=1e-4)
    assert torch.autograd.gradcheck(moments, (x,))


@pytest.mark.parametrize("hops", [1, 3])
def test_on_a_plane_each_hop_adds_the_variance_of_the_nearest(hops):
    grid = np.stack([*np.meshgrid(np.arange(60.0), np.arange(60.0)), np.zeros((60, 60))], axis=-1).reshape(-1, 3)
    graph = with_wider_moments(graph_of(grid, np.ones(3600), (3600,) * (hops + 1)), hops)
    assert isinstance(graph, NeighbourGraph)
    middle = (np.abs(grid[:, :2] - 29.5) < 10).all(axis=1)
    variances = graph.moments[middle][:, :, 3:5]
    torch.testing.assert_close(variances[:, -1], (hops + 1) * variances[:, 1])
    torch.testing.assert_close(graph.moments[middle][:, :, :3], torch.zeros(int(middle.sum()), 2 + hops, 3))
