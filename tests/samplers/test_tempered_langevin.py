import math

import numpy as np
import pytest
import torch
from stationarity import pooled_variance

from pcdenoise.errors import UsageError
from pcdenoise.samplers.tempered_langevin import TemperedLangevin


def harmonic(v):
    """`-grad E` of `E = |x|^2 / (2 v)`, by autograd as networks have it, whatever sigma."""

    def field(x, sigma):
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad((at**2).sum() / (2 * v), at)
        return -gradient

    return field


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
def test_stationary_variance_at_a_fixed_temperature(temperature):
    """`x' = a x + eps sqrt(T) z` with `a = 1 - eps^2 / (2 v)` settles at `T v / (1 - eps^2 / (4 v))`."""
    v, sigma_0, n, steps = 0.5, 0.6, 500, 1500
    eps = 1.2 * sigma_0
    gain = 1 - eps**2 / (2 * v)
    burn_in = math.ceil(math.log(1e-4) / math.log(abs(gain)))
    sampler = TemperedLangevin(burn_in + steps, step=1.2, hottest=temperature, coldest=temperature)
    *chain, last = sampler(
        harmonic(v),
        torch.zeros(n, 3, dtype=torch.float64),
        torch.full((n, 1), sigma_0, dtype=torch.float64),
        torch.Generator().manual_seed(0),
    )
    variance, error = pooled_variance(iter(chain), burn_in, gain)
    expected = temperature * v / (1 - eps**2 / (4 * v))
    assert error < 0.005
    assert variance == pytest.approx(expected, rel=4 * error)
    torch.testing.assert_close(last, chain[-1] * (1 - sigma_0**2 / v))


def test_variance_of_every_iterate_while_it_cools():
    """`V' = a^2 V + eps^2 T_t` for temperatures that fall geometrically."""
    v, sigma_0, n = 0.5, 0.6, 60_000
    sampler = TemperedLangevin(8, step=0.9, hottest=4.0, coldest=0.25)
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    variance, error, eps = 4.0, math.sqrt(2 / (3 * n)), 0.9 * sigma_0
    *iterates, last = sampler(harmonic(v), x, torch.full((n, 1), sigma_0).double(), generator)
    for temperature, y in zip(4.0 * 2.0 ** (-np.arange(8) * 4 / 7), iterates, strict=True):
        variance = (1 - eps**2 / (2 * v)) ** 2 * variance + eps**2 * temperature
        assert y.square().mean().item() == pytest.approx(variance, rel=4.5 * error)
    variance *= (1 - sigma_0**2 / v) ** 2
    assert last.square().mean().item() == pytest.approx(variance, rel=4.5 * error)


@pytest.mark.parametrize(
    "arguments",
    [{"steps": 0}, {"step": 0.0}, {"step": 2.0}, {"coldest": 0.0}, {"hottest": 0.1, "coldest": 0.2}],
)
def test_numbers_outside_their_range_are_refused(arguments):
    with pytest.raises(UsageError, match="give a"):
        TemperedLangevin(**arguments)
