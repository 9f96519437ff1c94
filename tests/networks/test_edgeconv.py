import numpy as np
import pytest
import torch
from torch import nn

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.gather_max import gather_max
from pcdenoise.networks.edgeconv import EdgeConvBlock
from pcdenoise.networks.embedding import sigma_embedding


def test_linear_first_edgeconv_is_pyg_edgeconv():
    """max_j relu(T x_i + P (x_j - x_i)) over neighbours, computed by PyG per edge and here per point."""
    conv = pytest.importorskip("torch_geometric.nn", reason="needs torch-geometric").EdgeConv
    torch.manual_seed(0)
    n, k, channels = 60, 6, 16
    points = np.random.default_rng(0).random((n, 3))
    idx = torch.from_numpy(knn(points, k)[1])
    x = torch.randn(n, channels)
    linear = nn.Linear(2 * channels, channels)
    edge_index = torch.stack([idx.long().flatten(), torch.arange(n).repeat_interleave(k)])
    theirs = conv(nn.Sequential(linear, nn.ReLU()), aggr="max")(x, edge_index)
    centre, neighbour = linear.weight[:, :channels], linear.weight[:, channels:]
    gathered = gather_max(x @ neighbour.T, idx, torch.zeros(n, k, 4), torch.zeros(4, channels))
    ours = torch.relu(x @ (centre - neighbour).T + linear.bias + gathered)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_rows_beyond_the_wanted_ones_are_only_gathered_from():
    torch.manual_seed(0)
    block = EdgeConvBlock(16)
    nn.init.normal_(block.reduce.weight)
    x, edges = torch.randn(30, 16), torch.randn(30, 5, 4)
    idx, noise = torch.randint(30, (30, 5), dtype=torch.int32), torch.zeros(30, 0)
    some = block(x, idx[:10], edges[:10], noise)
    torch.testing.assert_close(some, block(x, idx, edges, noise)[:10], rtol=1e-5, atol=1e-6)


def test_embedding_tells_noise_levels_apart():
    sigma = torch.logspace(-1, 1, 50)[:, None]
    embedded = sigma_embedding(sigma, 16)
    assert embedded.shape == (50, 16)
    assert (torch.cdist(embedded, embedded) + torch.eye(50)).min() > 0.05
