"""The oracles themselves: their scores are the gradients of their log-densities, their denoisers what samples say."""

import math

import pytest
import torch
from oracles import Gaussian, Mixture, Plane, Sphere

ORACLES = {
    "gaussian": Gaussian(
        torch.tensor([0.3, -0.2, 0.1]).double(),
        torch.tensor([[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 0.2]]).double(),
    ),
    "mixture": Mixture(
        torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.5, 0.0]]).double(),
        torch.tensor([0.2, 0.5]).double(),
        torch.tensor([0.3, 0.7]).double(),
    ),
    "plane": Plane(torch.tensor([0.6, 0.0, 0.8]).double(), 0.4),
    "sphere": Sphere(torch.tensor([0.1, 0.2, 0.3]).double(), 1.2),
}


@pytest.mark.parametrize("name", ORACLES)
def test_score_is_the_gradient_of_the_log_density(name):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator, dtype=torch.float64).requires_grad_()
    sigma = 0.2 + torch.rand(200, 1, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(ORACLES[name].log_density(x, sigma).sum(), x)
    torch.testing.assert_close(ORACLES[name](x, sigma), gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["gaussian", "mixture", "sphere"])
def test_denoiser_is_the_best_one_for_samples(name):
    """The error of the conditional expectation is uncorrelated with every function of the noisy point."""
    oracle, generator, n = ORACLES[name], torch.Generator().manual_seed(1), 400_000
    clean = oracle.sample(n, generator)
    sigma = torch.full((n, 1), 0.6, dtype=torch.float64)
    noisy = clean + sigma * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    error = oracle.denoise(noisy, sigma) - clean
    for probe in (torch.ones_like(noisy), noisy, noisy**3, noisy.sin()):
        products = error * probe
        assert bool((products.mean(dim=0).abs() < 4.5 * products.std(dim=0) / math.sqrt(n)).all())


@pytest.mark.parametrize("name", ["gaussian", "mixture", "sphere"])
def test_density_integrates_to_one(name):
    axis = torch.linspace(-4.96, 5.04, 101, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis, axis)
    density = ORACLES[name].log_density(grid, torch.full((len(grid), 1), 0.4, dtype=torch.float64)).exp()
    assert density.sum().item() * 0.1**3 == pytest.approx(1.0, abs=1e-3)
