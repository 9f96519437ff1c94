import pytest
import torch

from pcdenoise.networks.compat.dense_edge_conv import (
    DenseEdgeConv,
    dense_edge_max,
    dense_edge_max_reference,
    neighbours_in_patches,
)


def inputs(relative, n=70, channels=7, growth=6, k=5):
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=generator, requires_grad=True)

    idx = torch.randint(0, n, (n, k), generator=generator, dtype=torch.int32)
    widths = channels if relative else 3 * channels, growth + channels, 2 * growth + channels
    weights = [tensor for width in widths for tensor in (draw(growth, width), draw(growth))]
    return draw(n, channels), idx, *weights


@pytest.mark.parametrize("relative", [True, False])
def test_fused_is_the_definition(relative):
    x, idx, *weights = inputs(relative)
    fused, wanted = dense_edge_max(x, idx, *weights), dense_edge_max_reference(x, idx, *weights)
    # sums of three layers, in another order, of values up to 100
    torch.testing.assert_close(fused, wanted, rtol=1e-5, atol=1e-4)


def test_sums_are_those_of_a_matrix_product_bit_by_bit():
    """The dynamic graph of the next layer depends on the last bit."""
    x, idx, w1, b1, w2, b2, w3, b3 = (t.detach() for t in inputs(relative=False, channels=24, growth=12, k=16))
    neighbour = x[idx.long()]
    own = x[:, None].expand_as(neighbour)
    y1 = torch.relu(torch.nn.functional.linear(torch.cat([own, neighbour, neighbour - own], 2), w1, b1))
    y2 = torch.relu(torch.nn.functional.linear(torch.cat([y1, own], 2), w2, b2))
    y3 = torch.nn.functional.linear(torch.cat([y2, y1, own], 2), w3, b3)
    wanted = torch.cat([y3, y2, y1], 2).amax(dim=1)
    same = (dense_edge_max(x, idx, w1, b1, w2, b2, w3, b3) == wanted).float().mean()
    assert same > 0.99  # another processor's matrix product may sum otherwise in places


@pytest.mark.parametrize("relative", [True, False])
def test_gradients_are_those_of_the_definition(relative):
    arguments = inputs(relative)
    leaves = [t for t in arguments if t.requires_grad]
    factor = torch.randn(70, 18, generator=torch.Generator().manual_seed(2))
    fused, wanted = (
        torch.autograd.grad((form(*arguments) * factor).sum(), leaves)
        for form in (dense_edge_max, dense_edge_max_reference)
    )
    for mine, theirs in zip(fused, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("n", "k"), [(6, 5), (64, 3), (333, 20)])
def test_neighbours_are_the_nearest_others_of_the_same_patch(n, k):
    x = torch.randn(3, n, 4, generator=torch.Generator().manual_seed(0))
    distances = torch.cdist(x.double(), x.double())
    distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    wanted = distances.topk(k, largest=False).indices + n * torch.arange(3)[:, None, None]
    found = neighbours_in_patches(x, k)
    assert torch.equal(found.long().sort(dim=2).values, wanted.sort(dim=2).values)


def test_duplicates_are_neighbours_and_no_point_is_its_own():
    idx = neighbours_in_patches(torch.zeros(1, 40, 3), 10)[0]
    assert not (idx == torch.arange(40)[:, None]).any()
    assert (idx.sort(dim=1).values.diff(dim=1) > 0).all()


def test_what_is_not_a_number_breaks_nothing():
    x = torch.full((2, 40, 3), torch.nan)
    assert DenseEdgeConv(3, 4, 5, relative=True)(x).shape == (2, 40, 15)


def test_a_patch_does_not_depend_on_the_others():
    torch.manual_seed(0)
    layer, x = DenseEdgeConv(6, 4, 8, relative=False), torch.randn(4, 100, 6)
    torch.testing.assert_close(layer(x)[2:3], layer(x[2:3]), rtol=0, atol=1e-6)
    order = torch.randperm(100)
    torch.testing.assert_close(layer(x)[:, order], layer(x[:, order]), rtol=0, atol=1e-6)
