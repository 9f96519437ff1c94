import pytest
import torch
from analytic import UNUSED, gaussian_patches, mean_and_error

from pcdenoise.errors import UsageError
from pcdenoise.losses.mdsm import MDSM
from pcdenoise.schedules import Geometric

S, SPACING = 0.7, 0.5
LADDER = Geometric(lowest=0.2, highest=3.0, count=4)


def patches_of_all_levels(n=20_000):
    """n points of each level; sigma is in units of the spacing, as the ladder is."""
    sigma = torch.tensor(MDSM(ladder=LADDER).levels).repeat_interleave(n)[:, None] * SPACING
    return gaussian_patches(4 * n, S, sigma, spacing=SPACING, count=4)


class Energy:
    """E(x) = a |x|^2 / 2, its score by autograd with a graph, as a network's."""

    def __init__(self, a):
        self.a = torch.nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def __call__(self, x, sigma):
        self.told = sigma
        at = x.detach().requires_grad_()
        energy = (self.a * at.square()).sum() / 2
        return -torch.autograd.grad(energy, at, create_graph=True)[0]


def test_loss_of_every_level_is_the_closed_form():
    """`3 (s^2 (1 - b)^2 + b^2 sigma_k^2) / sigma_k^2` for `b = 1 - sigma_0^2 a`, the gain of the denoiser."""
    patches = patches_of_all_levels()
    loss = MDSM(ladder=LADDER, sigma_0=0.6)
    b = 1 - (0.6 * SPACING) ** 2 * 5.0
    for values, sigma in zip(
        loss(Energy(5.0), patches.noisy, patches, UNUSED).view(4, -1), patches.sigma.view(4, -1)[:, 0], strict=True
    ):
        mean, error = mean_and_error(values)
        expected = 3 * (S**2 * (1 - b) ** 2 + b**2 * sigma.item() ** 2) / sigma.item() ** 2
        assert mean.item() == pytest.approx(expected, abs=4 * error.item())
        assert error < 0.02 * expected


def test_one_energy_for_all_levels_has_the_closed_form():
    """`sigma_0^2 a = K / (K + s^2 sum_k sigma_k^-2)`: there the gradient of the gradient vanishes, elsewhere not."""
    patches = patches_of_all_levels()
    loss = MDSM(ladder=LADDER, sigma_0=0.6)
    levels = SPACING * torch.tensor(loss.levels)
    best = 4 / (4 + S**2 * (levels**-2).sum().item()) / (0.6 * SPACING) ** 2

    def slope(a):
        energy = Energy(a)
        values = loss(energy, patches.noisy, patches, UNUSED).view(4, -1).mean(dim=0)
        chunks = [torch.autograd.grad(part.mean(), energy.a, retain_graph=True)[0] for part in values.chunk(50)]
        return mean_and_error(torch.stack(chunks))

    for gain, sign in ((0.9, -1), (1.0, 0), (1.1, 1)):
        mean, error = slope(gain * best)
        assert (mean / error).item() == pytest.approx(0, abs=4) if sign == 0 else sign * mean > 4 * error


def test_the_energy_is_told_sigma_0_whatever_the_noise():
    patches, energy = patches_of_all_levels(2), Energy(1.0)
    MDSM(ladder=LADDER, sigma_0=0.6)(energy, patches.noisy, patches, UNUSED)
    torch.testing.assert_close(energy.told, torch.full((8, 1), 0.6 * SPACING))


def test_levels_and_needs():
    assert MDSM(ladder=LADDER).levels == pytest.approx(LADDER.sigmas().tolist())
    assert MDSM.needs == {"energy"}
    with pytest.raises(UsageError, match="sigma_0"):
        MDSM(sigma_0=0.0)
