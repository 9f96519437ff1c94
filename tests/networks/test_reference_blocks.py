import numpy as np
import pytest
import torch
from torch import nn

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.gather_max import gather_max
from pcdenoise.kernels.neighbourhood import build_graph
from pcdenoise.networks.edgeconv import EdgeConvBlock
from pcdenoise.networks.reference_blocks import ReferenceDynamicEdgeConv, ReferenceEdgeConvBlock, edge_conv

pytest.importorskip("torch_geometric", reason="needs torch-geometric")


@pytest.fixture(scope="module")
def cloud():
    return np.random.default_rng(0).random((60, 3))


@pytest.mark.parametrize("film", [0, 8])
def test_the_fused_block_is_pygs_edgeconv(cloud, film):
    """With its geometry, its noise level and all its gradients."""
    torch.manual_seed(0)
    block = EdgeConvBlock(16, film=film)
    for layer in (block.reduce, block.film):
        if layer is not None:
            nn.init.normal_(layer.weight, std=0.3)
    idx, spacing = knn(cloud, 6)[1], 0.1 + 0.1 * np.random.default_rng(1).random(60)
    graph = build_graph(cloud, idx, spacing, (6,), (60,))
    x, noise = torch.randn(60, 16), torch.randn(60, film)
    ours = block(x, graph.idx, graph.edges, noise)
    theirs = ReferenceEdgeConvBlock(block)(x, graph.idx, torch.from_numpy(cloud).float(), graph.spacing, noise)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    scale = torch.randn(60, 16)
    wanted = torch.autograd.grad((theirs * scale).sum(), list(block.parameters()))
    found = torch.autograd.grad((ours * scale).sum(), list(block.parameters()))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_monotone_activation_may_come_after_the_maximum(cloud):
    """max_j relu(T x_i + P (x_j - x_i)), per edge by PyG, is relu of two products per point and one gather-max."""
    torch.manual_seed(0)
    idx = torch.from_numpy(knn(cloud, 6)[1])
    x, linear = torch.randn(60, 16), nn.Linear(32, 16)
    theirs = edge_conv(x, idx, nn.Sequential(linear, nn.ReLU()))
    centre, neighbour = linear.weight[:, :16], linear.weight[:, 16:]
    gathered = gather_max(x @ neighbour.T, idx, torch.zeros(60, 6, 4), torch.zeros(4, 16))
    ours = torch.relu(x @ (centre - neighbour).T + linear.bias + gathered)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_in_the_space_of_positions_the_dynamic_graph_is_the_static_one(cloud):
    torch.manual_seed(0)
    x, function = torch.from_numpy(cloud).float(), nn.Linear(6, 8)
    static = edge_conv(x, torch.from_numpy(knn(cloud, 6, include_self=True)[1]), function)
    torch.testing.assert_close(ReferenceDynamicEdgeConv(function, 6)(x), static)


def test_the_dynamic_graph_follows_the_features(cloud):
    torch.manual_seed(0)
    function, x = nn.Linear(10, 8), torch.randn(60, 5)
    nearest = (x[:, None] - x[None]).square().sum(dim=2).argsort(dim=1)[:, :6]
    pairs = torch.cat([x[:, None].expand(60, 6, 5), x[nearest] - x[:, None]], dim=2)
    torch.testing.assert_close(ReferenceDynamicEdgeConv(function, 6)(x), function(pairs).amax(dim=1))


def test_equal_to_pygs_own_dynamic_edgeconv_where_it_finds_neighbours():
    pytest.importorskip("pyg_lib", reason="PyG searches neighbours with pyg-lib")
    from torch_geometric.nn import DynamicEdgeConv

    torch.manual_seed(0)
    function, x = nn.Linear(10, 8), torch.randn(60, 5)
    torch.testing.assert_close(ReferenceDynamicEdgeConv(function, 6)(x), DynamicEdgeConv(function, 6, aggr="max")(x))
