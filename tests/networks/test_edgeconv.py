import torch
from torch import nn

from pcdenoise.networks.edgeconv import EdgeConvBlock
from pcdenoise.networks.embedding import sigma_embedding


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
