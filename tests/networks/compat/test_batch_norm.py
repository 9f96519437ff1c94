import pytest
import torch
from torch import nn

from pcdenoise.networks.compat.batch_norm import BatchNormReLU


@pytest.fixture
def pair():
    """Ours and torch's, with the same factors."""
    torch.manual_seed(0)
    mine, theirs = BatchNormReLU(10), nn.BatchNorm1d(10)
    for name, value in (("weight", torch.randn(10)), ("bias", torch.randn(10))):
        for module in (mine, theirs):
            getattr(module, name).data.copy_(value)
    return mine, theirs


@pytest.mark.parametrize("n", [2, 256, 999])
def test_values_gradients_and_running_moments_are_those_of_torch(pair, n):
    x = 3 * torch.randn(n, 10) + torch.arange(10.0)
    factor = torch.randn(n, 10)
    outputs, gradients = [], []
    for module in pair:
        leaf = x.clone().requires_grad_()
        outputs.append(module(leaf).relu())  # a second ReLU changes nothing
        gradients.append(torch.autograd.grad((outputs[-1] * factor).sum(), [leaf, module.weight, module.bias]))
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(pair[0], name), getattr(pair[1], name), rtol=1e-4, atol=1e-5)


def test_outside_training_the_running_moments_count(pair):
    for module in pair:
        module.running_mean.copy_(torch.arange(10.0))
        module.running_var.copy_(1 + torch.arange(10.0))
        module.eval()
    x = 5 * torch.randn(7, 10)
    torch.testing.assert_close(pair[0](x), pair[1](x).relu())


def test_a_large_mean_costs_no_accuracy(pair):
    """One pass of sums of squares in float32 would leave nothing of a variance a millionth of the squared mean."""
    mine, _ = pair
    x = 1000 + torch.randn(5000, 10)
    mine(x)
    torch.testing.assert_close(mine.running_var, 0.9 + 0.1 * x.double().var(dim=0).float(), rtol=1e-4, atol=0)
