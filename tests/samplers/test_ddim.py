import itertools
import math

import pytest
import torch
from oracles import Gaussian, Mixture

from pcdenoise.errors import UsageError
from pcdenoise.samplers.ddim import DDIM
from pcdenoise.samplers.ddpm import DDPM
from pcdenoise.schedules import Geometric, VariancePreserving

LADDER = VariancePreserving(steps=40, beta_first=1e-3, beta_last=0.1)
MIXTURE = Mixture(
    torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.5, 0.0]]).double(),
    torch.tensor([0.2, 0.5]).double(),
    torch.tensor([0.3, 0.7]).double(),
)


def start(n, told):
    generator = torch.Generator().manual_seed(0)
    noisy = MIXTURE.sample(n, generator) + told * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return noisy, torch.full((n, 1), told, dtype=torch.float64)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_its_steps_are_those_of_song_et_al(eta):
    """Eqs. 12 and 16 in x^t, through the levels of a subsequence; abar = 1 / (1 + sigma^2)."""
    noisy, sigma = start(50, 1.7)
    iterates = list(DDIM(LADDER, steps=8, eta=eta)(MIXTURE, noisy, sigma, torch.Generator().manual_seed(1)))
    bars = [1 / (1 + level[0].item() ** 2) for level in LADDER.rungs(sigma, 8)] + [1.0]
    generator = torch.Generator().manual_seed(1)
    x = noisy * math.sqrt(bars[0])
    for k, (bar, after) in enumerate(itertools.pairwise(bars)):
        level = torch.full((50, 1), math.sqrt((1 - bar) / bar), dtype=torch.float64)
        predicted = -level * MIXTURE(x / math.sqrt(bar), level)
        clean = (x - math.sqrt(1 - bar) * predicted) / math.sqrt(bar)
        drawn = eta * math.sqrt((1 - after) / (1 - bar)) * math.sqrt(1 - bar / after)
        x = math.sqrt(after) * clean + math.sqrt(1 - after - drawn**2) * predicted
        if eta > 0:
            x = x + drawn * torch.randn(50, 3, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(iterates[k], x / math.sqrt(after))
    assert len(iterates) == 8


def test_without_noise_it_is_eulers_method_in_sigma():
    """`dx / d sigma = -sigma score` on the rescaled iterates."""
    x, sigma = start(50, 1.7)
    iterates = iter(DDIM(LADDER, steps=8)(MIXTURE, x, sigma))
    levels = [*LADDER.rungs(sigma, 8), torch.zeros_like(sigma)]
    for upper, lower in itertools.pairwise(levels):
        x = x + (lower - upper) * (-upper * MIXTURE(x, upper))
        torch.testing.assert_close(next(iterates), x)


def test_with_all_its_noise_and_all_levels_it_is_ddpm():
    noisy, sigma = start(50, float(LADDER.sigmas()[-1]))
    implicit = DDIM(LADDER, steps=40, eta=1.0)(MIXTURE, noisy, sigma, torch.Generator().manual_seed(1))
    markov = DDPM(LADDER, noise=True)(MIXTURE, noisy, sigma, torch.Generator().manual_seed(1))
    for a, b in zip(implicit, markov, strict=True):
        torch.testing.assert_close(a, b)


def test_few_steps_approach_the_exact_flow():
    """On N(0, s^2) the flow ends at `x s / sqrt(s^2 + sigma^2)`."""
    s, told, x = 0.8, 2.0, torch.ones(1, 3, dtype=torch.float64)
    ladder, sigma = VariancePreserving(steps=400, beta_last=0.02), torch.tensor([[told]]).double()
    errors = []
    for steps in (5, 20, 80):
        *_, last = DDIM(ladder, steps)(Gaussian.isotropic(s**2), x, sigma)
        errors.append(abs(last[0, 0].item() - s / math.sqrt(s**2 + told**2)))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.01


@pytest.mark.parametrize(
    ("ladder", "arguments"),
    [(LADDER, {"steps": 0}), (LADDER, {"steps": 41}), (LADDER, {"eta": 1.1}), (Geometric(), {})],
)
def test_arguments_outside_their_range_are_refused(ladder, arguments):
    with pytest.raises(UsageError, match="give a"):
        DDIM(ladder, **arguments)
