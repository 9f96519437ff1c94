import math

import numpy as np
import pytest
import torch
from analytic import gaussian_patches, mean_and_error
from oracles import Gaussian

from pcdenoise.errors import UsageError
from pcdenoise.losses.sbd import SBD, bridge
from pcdenoise.schedules import VariancePreserving

SHORT = VariancePreserving(steps=6, beta_first=0.05, beta_last=0.4)
S = 0.8


def forward_process(clean, schedule, generator):
    """x^1 .. x^T (T, n, 3), step by step, and the noise z of each step."""
    states, noises, x = [], [], clean
    for beta in schedule.betas():
        z = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
        x = math.sqrt(1 - beta) * x + math.sqrt(beta) * z
        states.append(x)
        noises.append(z)
    return torch.stack(states), torch.stack(noises)


def patches_at_the_end(n, schedule=SHORT, count=500, seed=0):
    """Gaussian clean points whose noise is that of the last step."""
    return gaussian_patches(n, S, float(schedule.sigmas()[-1]), count=count, seed=seed)


class Exact:
    """The score of the blurred Gaussian times a gain; notes what it was told."""

    def __init__(self, gain=1.0):
        self.gain, self.exact = gain, Gaussian.isotropic(S**2)

    def __call__(self, x, sigma):
        self.sigma = sigma
        return self.gain * self.exact(x, sigma)


def test_the_bridge_has_the_marginals_of_the_forward_process():
    """All second moments of `(x_a^t - x^0, x_a^T - x^0)`, against the closed form and against the steps themselves."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(100_000, 3, dtype=torch.float64)
    rescaled = (
        forward_process(clean, SHORT, generator)[0] / torch.from_numpy(np.sqrt(SHORT.alphas_bar()))[:, None, None]
    )
    sigmas = SHORT.sigmas()
    for t in (0, 2, 5):
        sigma, highest = (torch.full((100_000, 1), float(sigmas[i])) for i in (t, -1))
        drawn = bridge(clean, rescaled[-1], sigma, highest, generator)
        for state in (drawn, rescaled[t]):
            for other, expected in ((state, sigmas[t] ** 2), (rescaled[-1], sigmas[t] ** 2)):
                mean, error = mean_and_error((state * other).flatten())
                assert mean.item() == pytest.approx(expected, abs=4 * error.item())
                assert error < 0.01 * expected * sigmas[-1] / sigmas[t]


def test_the_bridge_ends_at_its_ends():
    clean, noisy = torch.rand(2, 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1e6
    one = torch.ones(50, 1)
    generator = torch.Generator()
    torch.testing.assert_close(bridge(clean, noisy, 0.3 * one, 0.3 * one, generator), noisy, rtol=0, atol=1e-9)
    torch.testing.assert_close(bridge(clean, noisy, 1e-9 * one, 0.3 * one, generator), clean, rtol=0, atol=1e-7)


def test_the_noise_of_one_step_given_the_state_is_a_share_of_eps():
    """`E[z | x^t, x^0] = sqrt(beta_t / (1 - abar_t)) eps_t`: the slope of z over eps_t, and nothing is left of it."""
    clean = S * torch.randn(50_000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    states, noises = forward_process(clean, SHORT, torch.Generator().manual_seed(2))
    for x, z, beta, bar in zip(states, noises, SHORT.betas(), SHORT.alphas_bar(), strict=True):
        eps = (x - math.sqrt(bar) * clean) / math.sqrt(1 - bar)
        left = z - math.sqrt(beta / (1 - bar)) * eps
        for known in (eps, clean):
            mean, error = mean_and_error((left * known).flatten())
            assert abs(mean) <= 4 * error + 1e-12
        variance, error = mean_and_error(left.square().flatten())
        assert variance.item() == pytest.approx(1 - beta / (1 - bar), abs=4 * error.item() + 1e-12)


def test_the_loss_as_the_note_writes_it_differs_by_a_constant():
    """With z itself: the same plus `3/2 (beta_t - beta_t^2 / (1 - abar_t))`, for every gain of the field."""
    clean = S * torch.randn(60_000, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    states, noises = forward_process(clean, SHORT, torch.Generator().manual_seed(4))
    for gain in (0.7, 1.0):
        for t in (1, 4):
            beta, bar, sigma = SHORT.betas()[t], SHORT.alphas_bar()[t], SHORT.sigmas()[t]
            eps = (states[t] - math.sqrt(bar) * clean) / math.sqrt(1 - bar)
            level = torch.full((60_000, 1), sigma, dtype=torch.float64)
            s_theta = Exact(gain)(states[t] / math.sqrt(bar), level) * sigma / math.sqrt(bar)
            first = beta * math.sqrt(bar) / math.sqrt(1 - bar) * s_theta
            written = (first + math.sqrt(beta) * noises[t]).square().sum(1) / 2
            ours = beta**2 / (1 - bar) * (math.sqrt(bar) * s_theta + eps).square().sum(1) / 2
            mean, error = mean_and_error(written - ours)
            assert mean.item() == pytest.approx(1.5 * (beta - beta**2 / (1 - bar)), abs=4 * error.item())
            assert error < 0.02 * beta
            assert ours.var() < written.var()


def test_minimum_on_a_gaussian_is_the_closed_form_at_every_step():
    """`3 s^2 / (2 (s^2 + sigma_t^2))`, where the best field is the score of the points blurred by sigma_t."""
    patches, field = patches_at_the_end(200_000), Exact()
    values = SBD(SHORT, "former")(field, patches.noisy, patches, torch.Generator().manual_seed(5))
    for sigma in SHORT.sigmas():
        at = torch.isclose(field.sigma[:, 0], torch.tensor(sigma, dtype=torch.float32))
        mean, error = mean_and_error(values[at])
        assert mean.item() == pytest.approx(1.5 * S**2 / (S**2 + sigma**2), abs=4 * error.item())
        assert error < 0.02


def test_both_weightings_have_the_same_minimum():
    """The slope over a gain of the exact field vanishes at 1 at every step and for both, and nowhere else."""
    patches = patches_at_the_end(200_000)
    for weighting in ("note", "former"):
        for at, sign in ((0.9, -1), (1.0, 0), (1.1, 1)):
            gain = torch.ones(200_000, 1, dtype=torch.float64).mul(at).requires_grad_()
            field = Exact(gain)
            values = SBD(SHORT, weighting)(field, patches.noisy, patches, torch.Generator().manual_seed(5))
            slopes = torch.autograd.grad(values.sum(), gain)[0][:, 0]
            for sigma in SHORT.sigmas():
                mean, error = mean_and_error(slopes[torch.isclose(field.sigma[:, 0], torch.tensor(sigma).float())])
                assert abs(mean) <= 4 * error if sign == 0 else sign * mean > 4 * error


def test_the_weightings_differ_by_beta_squared_over_the_noise():
    patches, field = patches_at_the_end(5000), Exact(0.5)
    note, former = (
        SBD(SHORT, weighting)(field, patches.noisy, patches, torch.Generator().manual_seed(5))
        for weighting in ("note", "former")
    )
    step = (field.sigma - torch.from_numpy(SHORT.sigmas())).abs().argmin(dim=1)
    expected = torch.from_numpy(SHORT.betas() ** 2 / (1 - SHORT.alphas_bar()))[step]
    torch.testing.assert_close(note / former, expected.to(note), rtol=1e-5, atol=0)


def test_steps_are_uniform_below_the_noise_of_each_patch_in_its_own_spacing():
    """Patches of 2 points, one with the noise of level 3 of 6 and a spacing of 1, one with level 5 and 10, in turn."""
    sigmas = torch.from_numpy(SHORT.sigmas()).float()
    spacing = torch.tensor([1.0, 10.0]).repeat(3000).repeat_interleave(2)[:, None]
    sigma = 1.001 * torch.stack([sigmas[2], 10 * sigmas[4]]).repeat(3000).repeat_interleave(2)[:, None]
    patches, field = gaussian_patches(12_000, S, sigma, spacing=spacing, count=6000), Exact()
    SBD(SHORT)(field, patches.noisy, patches, torch.Generator().manual_seed(0))
    told = (field.sigma / spacing).view(6000, 2)
    assert torch.equal(told[:, 0], told[:, 1])
    for first, below in ((0, 3), (1, 5)):
        level = (told[first::2, :1] - sigmas).abs().argmin(dim=1)
        torch.testing.assert_close(told[first::2, 0], sigmas[level])
        counts = torch.bincount(level, minlength=6)
        assert (counts[below:] == 0).all()
        assert ((counts[:below] - 3000 / below).abs() < 4 * math.sqrt(3000 / below)).all()


def test_a_patch_below_the_first_step_keeps_its_noise():
    patches, field = gaussian_patches(10, S, 0.01), Exact()
    values = SBD(SHORT)(field, patches.noisy, patches, torch.Generator())
    assert torch.equal(field.sigma, patches.sigma)
    assert torch.isfinite(values).all()


def test_another_weighting_is_refused():
    with pytest.raises(UsageError, match="former"):
        SBD(weighting="old")
