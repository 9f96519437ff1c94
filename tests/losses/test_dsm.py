import math

import pytest
import torch

from pcdenoise.losses.dsm import PairedDSM


def test_minimum_on_a_gaussian_is_the_closed_form():
    """Clean points ~ N(0, s^2 I): the best denoiser is x s^2 / (s^2 + sigma^2).

    Its paired error over sigma^2 is 3 s^2 / (s^2 + sigma^2), the minimum of DSM; the loss is a third of it.
    """
    generator = torch.Generator().manual_seed(0)
    s, sigma, n = 0.7, 0.4, 200_000
    clean = s * torch.randn(n, 3, generator=generator)
    noisy = clean + sigma * torch.randn(n, 3, generator=generator)
    best = noisy * s**2 / (s**2 + sigma**2)
    loss = PairedDSM(surface_weight=0.0, floor=0.0)
    ones = torch.ones(n, 1)
    values = loss(best, clean, clean, torch.zeros(n, 3), sigma * ones, ones)
    expected = s**2 / (s**2 + sigma**2)
    error = 4 * values.std().item() / math.sqrt(n)
    assert values.shape == (n,)
    assert values.mean().item() == pytest.approx(expected, abs=error)
    for factor in (0.9, 1.1):  # any other gain is worse
        assert loss(factor * best, clean, clean, torch.zeros(n, 3), sigma * ones, ones).mean() > values.mean()


def test_surface_term_counts_the_distance_to_the_plane_only():
    denoised = torch.tensor([[3.0, 4.0, 0.5]])
    nearest, normals = torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]])
    loss = PairedDSM(surface_weight=2.0, floor=0.0)
    value = loss(denoised, denoised, nearest, normals, torch.full((1, 1), 0.5), torch.ones(1, 1))
    assert value.item() == pytest.approx(2.0 * 0.25 / 0.25)


def test_floor_bounds_the_weight_of_faint_noise():
    error = torch.tensor([[0.1, 0.0, 0.0]])
    zero = torch.zeros(1, 3)
    loss = PairedDSM(surface_weight=0.0, floor=0.2)
    value = loss(error, zero, zero, zero, torch.full((1, 1), 1e-6), torch.full((1, 1), 2.0))
    assert value.item() == pytest.approx(0.01 / 3 / 0.16, rel=1e-5)
