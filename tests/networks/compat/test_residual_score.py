import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pcdenoise.networks.compat.residual_score import ResidualScore


def plain(network, features, offsets):
    """The equations of the docstring with torch's own modules."""

    def norm(module, x):
        args = module.running_mean.clone(), module.running_var.clone(), module.weight, module.bias
        return F.relu(F.batch_norm(x, *args, training=network.training))

    given = torch.cat([offsets, features[:, None].expand(-1, offsets.shape[1], -1)], dim=2).flatten(0, 1)
    x = network.enter(given)
    for block in network.blocks:
        y = norm(block.norm_second, block.first(norm(block.norm_first, x)))
        x = x + block.second(y) + block.condition(given)
    return network.leave(norm(network.norm, x)).view(offsets.shape)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = ResidualScore(9, 16, 3)
    for block in network.blocks:
        nn.init.normal_(block.second.weight, std=0.3)
    network(torch.randn(50, 9), torch.randn(50, 4, 3))  # running moments of its own
    return network


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(30, 9, generator=generator), torch.randn(30, 5, 3, generator=generator)


@pytest.mark.parametrize("training", [True, False])
def test_it_is_the_plain_network(network, data, training):
    network.train(training)
    torch.testing.assert_close(network(*data), plain(network, *data), rtol=1e-4, atol=1e-5)


def test_without_gradients_it_is_the_same_network(network, data):
    network.eval()
    wanted = network(*data)
    with torch.inference_mode():
        torch.testing.assert_close(network(*data), wanted, rtol=1e-4, atol=1e-5)
        many = data[0].repeat(200, 1), data[1].repeat(200, 1, 1)  # more than one piece
        torch.testing.assert_close(network(*many)[-30:], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_the_plain_network(network, data, training):
    network.train(training)
    features, offsets = (t.clone().requires_grad_() for t in data)
    leaves = [features, offsets, *network.parameters()]
    mine, theirs = (
        torch.autograd.grad(form(features, offsets).square().sum(), leaves)
        for form in (network, lambda *args: plain(network, *args))
    )
    for name, a, b in zip(["features", "offsets", *dict(network.named_parameters())], mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3, msg=name)
