import math

import pytest
import torch
from oracles import Gaussian, Mixture
from scipy.stats import kstest, norm
from stationarity import pooled_variance

from pcdenoise.errors import UsageError
from pcdenoise.samplers.langevin import Langevin


@pytest.mark.parametrize(("spread", "step"), [(0.0, 0.5), (0.0, 1.0), (0.0, 1.6), (0.5, 1.0), (2.0, 1.9)])
def test_stationary_variance_of_the_chain(spread, step):
    """On N(0, v) a step is `x' = a x + eps z` with `a = 1 - eps^2 / (2 v)`, so a variance V that stays fulfils

    V = a^2 V + eps^2   =>   V = eps^2 / ((eps^2 / (2 v)) (2 - eps^2 / (2 v))) = v / (1 - eps^2 / (4 v)).
    """
    sigma, n, steps = 0.6, 500, 1500
    v, eps = spread**2 + sigma**2, step * sigma
    gain = 1 - eps**2 / (2 * v)
    burn_in = math.ceil(math.log(1e-4) / math.log(abs(gain)))
    chain = Langevin(steps=burn_in + steps, step=step, denoise=False)(
        Gaussian.isotropic(spread**2),
        torch.zeros(n, 3, dtype=torch.float64),
        torch.full((n, 1), sigma, dtype=torch.float64),
        torch.Generator().manual_seed(0),
    )
    variance, error = pooled_variance(chain, burn_in, gain)
    expected = v / (1 - eps**2 / (4 * v))
    assert error < 0.01
    assert variance == pytest.approx(expected, rel=4 * error)
    assert abs(expected / v - 1) > 8 * error  # the discretisation shows: this is not the variance of the continuous one


def test_a_mixture_stays_what_it_is():
    """The blurred density is stationary: noisy points remain distributed as they are (Kolmogorov & Smirnov)."""
    means, variances, weights, sigma, n = (-1.5, 1.0), (0.04, 0.25), (0.3, 0.7), 0.5, 20_000
    mixture = Mixture(*(torch.tensor(t, dtype=torch.float64) for t in ([[m] for m in means], variances, weights)))
    generator = torch.Generator().manual_seed(0)
    noisy = mixture.sample(n, generator) + sigma * torch.randn(n, 1, generator=generator, dtype=torch.float64)

    def cumulative(x):
        parts = zip(means, variances, weights, strict=True)
        return sum(w * norm.cdf(x, m, math.sqrt(v + sigma**2)) for m, v, w in parts)

    level = torch.full((n, 1), sigma, dtype=torch.float64)
    *_, last = Langevin(steps=100, step=0.1, denoise=False)(mixture, noisy, level, generator)
    assert (last - noisy).std() > 0.4  # each point has moved far
    assert kstest(last[:, 0].numpy(), cumulative).pvalue > 0.01
    *_, wrong = Langevin(steps=100, step=0.1, denoise=False)(mixture, noisy, 1.6 * level, generator)
    assert kstest(wrong[:, 0].numpy(), cumulative).pvalue < 1e-6


def test_noise_is_drawn_for_the_whole_cloud_row_by_row_and_the_last_step_denoises():
    gaussian = Gaussian.isotropic(0.3)
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma = torch.linspace(0.1, 1.0, 40, dtype=torch.float64)[:, None]
    first, last = Langevin(steps=1, step=0.7)(gaussian, x, sigma, torch.Generator().manual_seed(2))
    z = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    eps = 0.7 * sigma
    torch.testing.assert_close(first, x + eps**2 / 2 * gaussian(x, sigma) + eps * z)
    torch.testing.assert_close(last, gaussian.denoise(first, sigma))


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"steps": 1.5}, {"step": 0.0}, {"step": 2.0}])
def test_numbers_outside_their_range_are_refused(arguments):
    with pytest.raises(UsageError, match="give a"):
        Langevin(**arguments)
