import math

import pytest
import torch
from oracles import Gaussian, Mixture, Sphere
from stationarity import pooled_variance

from pcdenoise.errors import UsageError
from pcdenoise.samplers.annealed_langevin import AnnealedLangevin
from pcdenoise.schedules import Geometric, Karras, VariancePreserving


def test_it_is_the_algorithm_of_the_paper():
    """Song & Ermon 2019, algorithm 1, with `alpha_i = eps sigma_i^2 / sigma_L^2`, then the last denoising step."""
    mixture = Mixture(
        torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.5, 0.0]]).double(),
        torch.tensor([0.01, 0.04]).double(),
        torch.tensor([0.5, 0.5]).double(),
    )
    ladder, eps, x = Geometric(0.1, 2.0, 6), 0.003, torch.ones(30, 3, dtype=torch.float64)
    sampler = AnnealedLangevin(ladder, steps=4, step=eps / 0.1**2)
    *iterates, last = sampler(mixture, x, torch.full((30, 1), 2.0).double(), torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    for i, sigma in enumerate(ladder.sigmas()):
        alpha, level = eps * sigma**2 / 0.1**2, torch.full((30, 1), sigma, dtype=torch.float64)
        for t in range(4):
            z = torch.randn(30, 3, generator=generator, dtype=torch.float64)
            x = x + alpha / 2 * mixture(x, level) + math.sqrt(alpha) * z
            torch.testing.assert_close(iterates[4 * i + t], x)
    torch.testing.assert_close(last, x + 0.1**2 * mixture(x, level))


def test_variance_of_every_iterate():
    """On N(0, s^2) a step at sigma makes `V' = (1 - alpha / (2 (s^2 + sigma^2)))^2 V + alpha`; the last one, the

    denoiser, multiplies by its squared gain `(s^2 / (s^2 + sigma_L^2))^2`.
    """
    s, told, n, ladder = 0.4, 1.5, 60_000, Karras(0.2, count=5)
    sampler = AnnealedLangevin(ladder, steps=3, step=0.8)
    levels = [level.item() for level in ladder.rungs(torch.tensor([[told]]).double()) for _ in range(3)]
    generator = torch.Generator().manual_seed(0)
    x = told * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    variance, error = told**2, math.sqrt(2 / (3 * n))
    *iterates, last = sampler(Gaussian.isotropic(s**2), x, torch.full((n, 1), told).double(), generator)
    for sigma, y in zip(levels, iterates, strict=True):
        alpha = 0.8 * sigma**2
        variance = (1 - alpha / (2 * (s**2 + sigma**2))) ** 2 * variance + alpha
        assert y.square().mean().item() == pytest.approx(variance, rel=4.5 * error)
    gain = s**2 / (s**2 + 0.2**2)
    assert last.square().mean().item() == pytest.approx(gain**2 * variance, rel=4.5 * error)


def test_a_long_chain_at_the_last_rung_forgets_where_it_came_from():
    """Its variance is `v / (1 - alpha_L / (4 v))`, `v = s^2 + sigma_L^2`."""
    s, lowest, steps, n = 0.3, 0.2, 700, 500
    v, alpha = s**2 + lowest**2, 1.5 * lowest**2
    sampler = AnnealedLangevin(Geometric(lowest, count=2), steps=steps, step=1.5, denoise=False)
    chain = sampler(
        Gaussian.isotropic(s**2),
        torch.full((n, 3), 5.0).double(),
        torch.full((n, 1), 3.0).double(),
        torch.Generator().manual_seed(0),
    )
    variance, error = pooled_variance(chain, steps + 100, 1 - alpha / (2 * v))
    assert variance == pytest.approx(v / (1 - alpha / (4 * v)), rel=4 * error)


def test_the_last_step_denoises_best():
    """On a sphere: without it noise of sigma_L stays around the surface, and it is worth far more than it costs."""
    sphere, n = Sphere.centred(8.0), 5000
    generator = torch.Generator().manual_seed(0)
    noisy = sphere.sample(n, generator) + torch.randn(n, 3, generator=generator, dtype=torch.float64)
    error = {}
    for denoise in (True, False):
        sampler = AnnealedLangevin(Geometric(0.1), denoise=denoise)
        *_, last = sampler(sphere, noisy, torch.ones(n, 1).double(), torch.Generator().manual_seed(1))
        error[denoise] = sphere.distance(last).square().mean().sqrt().item()
    assert error[False] == pytest.approx(0.13, abs=0.01)  # sigma_L, and what steps of 1 add to it
    assert error[True] == pytest.approx(0.1**2 / 8, rel=0.1)  # the bias sigma_L^2 / R of the denoiser at sigma_L
    assert AnnealedLangevin(Geometric()).denoise


def test_rows_whose_noise_is_not_above_the_ladder_take_one_denoising_step():
    gaussian, told = Gaussian.isotropic(0.3), torch.tensor([[1.0], [0.1], [0.04]], dtype=torch.float64)
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    *_, last = AnnealedLangevin(Geometric(0.1))(gaussian, x, told, torch.Generator().manual_seed(0))
    torch.testing.assert_close(last[1:], gaussian.denoise(x, told)[1:])
    assert not torch.equal(last[0], gaussian.denoise(x, told)[0])


def test_the_posterior_given_the_cloud_that_it_starts_from():
    """On N(0, s^2) the chain at sigma has mean `y v / (s^2 + sigma_1^2)`, `v = s^2 + sigma^2`, and variance

    `w / (1 - a / 2)`, `1 / w = 1 / v + 1 / (sigma_1^2 - sigma^2)`, `a = alpha / (2 w)`.
    """
    s, told, lowest, steps, n = 0.5, 1.2, 0.4, 500, 400
    v, rest = s**2 + lowest**2, told**2 - lowest**2
    w, alpha = 1 / (1 / v + 1 / rest), 1.5 * lowest**2 * rest / told**2
    sampler = AnnealedLangevin(Geometric(lowest, count=2), steps=steps, step=1.5, denoise=False, posterior=True)
    y = torch.full((n, 3), 2.0).double()
    told = torch.full((n, 1), told).double()
    mean = 2.0 * v / (s**2 + told[0].item() ** 2)
    chain = sampler(Gaussian.isotropic(s**2), y, told, torch.Generator().manual_seed(0))
    centred = (x - mean for x in chain)
    variance, error = pooled_variance(centred, 50, 1 - alpha / (2 * w))
    assert sampler.evaluations == steps
    assert variance == pytest.approx(w / (1 - alpha / (4 * w)), rel=4 * error)


def test_held_by_the_cloud_it_keeps_what_the_field_does_not_know():
    """On a plane the score says nothing along it: there the paper's chain walks, and the posterior stays around y."""
    plane, n = Gaussian(torch.zeros(3).double(), torch.diag(torch.tensor([1e6, 1e6, 1e-4]).double())), 3000
    y = torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    walked = {}
    for posterior in (True, False):
        sampler = AnnealedLangevin(Geometric(0.1), steps=20, posterior=posterior)
        *_, last = sampler(plane, y, torch.ones(n, 1).double(), torch.Generator().manual_seed(1))
        walked[posterior] = (last - y)[:, :2].square().mean().sqrt().item()
        assert last[:, 2].square().mean().sqrt().item() < 0.002  # on the plane, both
    assert walked[True] < 1.1  # the noise that y has
    assert walked[False] > 4


@pytest.mark.parametrize(
    ("ladder", "arguments"),
    [(Geometric(), {"steps": 0}), (Geometric(), {"step": 4.0}), (VariancePreserving(), {}), (0.1, {})],
)
def test_arguments_outside_their_range_are_refused(ladder, arguments):
    with pytest.raises(UsageError, match="give a"):
        AnnealedLangevin(ladder, **arguments)
