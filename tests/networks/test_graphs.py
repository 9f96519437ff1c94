import numpy as np
import pytest
import torch

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.array_graph import local_spacing
from pcdenoise.kernels.neighbourhood import build_graph
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import device_graph, device_spacing, graph_at


@pytest.fixture(scope="module")
def cloud():
    return np.random.default_rng(0).random((400, 3)) * [10, 10, 1] + 1e4


def expected(cloud, k=12):
    distances, idx = knn(cloud, k)
    return build_graph(cloud, idx, local_spacing(distances[:, 7], idx), (4, 12), (400, 400))


def assert_same_graph(mine, wanted):
    assert torch.equal(mine.idx.cpu(), wanted.idx)
    assert mine.sizes == wanted.sizes
    for name in ("edges", "moments", "spacing"):
        assert getattr(mine, name).dtype == torch.float32
        torch.testing.assert_close(getattr(mine, name).detach().cpu(), getattr(wanted, name), rtol=1e-6, atol=1e-6)


def test_searched_and_measured_in_torch_a_graph_is_the_same(cloud):
    assert_same_graph(device_graph(torch.from_numpy(cloud), 12, (4, 12), (400, 400)), expected(cloud))


@pytest.mark.parametrize("k", [8, 9])
def test_spacing_in_torch_is_the_median_over_neighbours(cloud, k):
    distances, idx = knn(cloud, k)
    mine = device_spacing(torch.from_numpy(distances[:, 7].copy()), torch.from_numpy(idx))
    np.testing.assert_allclose(mine, local_spacing(distances[:, 7], idx), rtol=1e-15)


def test_a_graph_is_differentiable_in_the_positions_and_not_in_what_is_constant(cloud):
    gradients = []
    features = EdgeConvFeatures(4, 1, 12, (4, 12), "none")
    for build in (lambda x: device_graph(x, 12, (4, 12), (400, 400)), lambda x: graph_at(x, features)):
        x = torch.from_numpy(cloud).requires_grad_()
        graph = build(x)
        assert not graph.spacing.requires_grad
        gradients.append(torch.autograd.grad(graph.edges.square().sum() + graph.moments.sin().sum(), x)[0])
    assert gradients[0].any()
    torch.testing.assert_close(*gradients)


@pytest.mark.gpu
def test_on_a_gpu_the_graph_stays_there_and_is_the_same(cloud):
    graph = graph_at(torch.from_numpy(cloud).cuda(), EdgeConvFeatures(4, 1, 12, (4, 12), "none"))
    assert graph.edges.is_cuda
    assert_same_graph(graph, expected(cloud))
