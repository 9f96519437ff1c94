import itertools
import math

import pytest
import torch
from oracles import Gaussian, Mixture

from pcdenoise.errors import UsageError
from pcdenoise.samplers.ddpm import DDPM
from pcdenoise.schedules import Geometric, VariancePreserving

LADDER = VariancePreserving(steps=12, beta_first=1e-3, beta_last=0.2)
MIXTURE = Mixture(
    torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.5, 0.0]]).double(),
    torch.tensor([0.2, 0.5]).double(),
    torch.tensor([0.3, 0.7]).double(),
)


def start(n):
    sigma = float(LADDER.sigmas()[-1])
    generator = torch.Generator().manual_seed(0)
    noisy = MIXTURE.sample(n, generator) + sigma * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return noisy, torch.full((n, 1), sigma, dtype=torch.float64)


def steps_down():
    """t, beta_t, alpha_t, abar_t, abar_{t-1} from t = T to 1."""
    betas, bars = LADDER.betas().tolist(), [1.0, *LADDER.alphas_bar().tolist()]
    for t in range(len(betas), 0, -1):
        yield t, betas[t - 1], 1 - betas[t - 1], bars[t], bars[t - 1]


def test_its_steps_are_those_of_the_note():
    """`x^{t-1} = 1 / sqrt(alpha_t) (x^t - beta_t sqrt(abar_t) / sqrt(1 - abar_t) (-s))`."""
    noisy, sigma = start(50)
    iterates = list(DDPM(LADDER)(MIXTURE, noisy, sigma))
    x = noisy * math.sqrt(LADDER.alphas_bar()[-1])
    for k, (t, beta, alpha, bar, before) in enumerate(steps_down()):
        level = torch.full((50, 1), LADDER.sigmas()[t - 1], dtype=torch.float64)
        s = MIXTURE(x / math.sqrt(bar), level) * level / math.sqrt(bar)
        x = (x - beta * math.sqrt(bar) / math.sqrt(1 - bar) * (-s)) / math.sqrt(alpha)
        torch.testing.assert_close(iterates[k], x / math.sqrt(before))
    assert len(iterates) == 12


@pytest.mark.parametrize("noise", [False, True])
def test_its_steps_are_those_of_ho_et_al(noise):
    """Algorithm 2 for the predicted noise `eps = -sigma_t score`, with the variance of the posterior, eq. 7."""
    noisy, sigma = start(50)
    iterates = list(DDPM(LADDER, noise)(MIXTURE, noisy, sigma, torch.Generator().manual_seed(1)))
    generator = torch.Generator().manual_seed(1)
    x = noisy * math.sqrt(LADDER.alphas_bar()[-1])
    for k, (t, beta, alpha, bar, before) in enumerate(steps_down()):
        level = torch.full((50, 1), LADDER.sigmas()[t - 1], dtype=torch.float64)
        predicted = -level * MIXTURE(x / math.sqrt(bar), level)
        x = (x - beta / math.sqrt(1 - bar) * predicted) / math.sqrt(alpha)
        if noise:
            z = torch.randn(50, 3, generator=generator, dtype=torch.float64)
            x = x + math.sqrt(beta * (1 - before) / (1 - bar)) * z
        torch.testing.assert_close(iterates[k], x / math.sqrt(before))


def test_variance_of_the_result():
    """On N(0, s^2) a step from sigma to u with noise makes

        V' = (1 - (sigma^2 - u^2) / (s^2 + sigma^2))^2 V + u^2 (sigma^2 - u^2) / sigma^2;

    with enough levels the result has the variance of the clean cloud.
    """
    s, n, ladder = 0.8, 30_000, VariancePreserving(steps=100)
    told = torch.tensor([[2.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    x = math.sqrt(s**2 + 4) * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    variance, error = s**2 + 4, math.sqrt(2 / (3 * n))
    levels = [level.item() for level in ladder.rungs(told)] + [0.0]
    for upper, lower in itertools.pairwise(levels):
        removed = upper**2 - lower**2
        variance = (1 - removed / (s**2 + upper**2)) ** 2 * variance + lower**2 * removed / upper**2
    *_, last = DDPM(ladder, noise=True)(Gaussian.isotropic(s**2), x, told.expand(n, 1), generator)
    assert last.square().mean().item() == pytest.approx(variance, rel=4.5 * error)
    assert variance == pytest.approx(s**2, rel=0.05)


def test_another_ladder_is_refused():
    with pytest.raises(UsageError, match="VariancePreserving"):
        DDPM(Geometric())
