import pytest
import torch
from analytic import UNUSED, gaussian_patches, mean_and_error
from oracles import Gaussian

from pcdenoise.losses.ncsn import NCSN
from pcdenoise.schedules import Geometric

S = 0.7


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.5])
def test_minimum_at_every_level_is_the_closed_form(sigma):
    """With `lambda = sigma^2` and the half of eq. 5: `3 s^2 / (2 (s^2 + sigma^2))` on N(0, s^2 I), of order one."""
    patches = gaussian_patches(50_000, S, sigma, estimate=2 * sigma)
    exact = Gaussian.isotropic(S**2)

    def values(gain):
        return NCSN()(lambda x, sigma: gain * exact(x, sigma), patches.noisy, patches, UNUSED)

    mean, error = mean_and_error(values(1.0))
    assert mean.item() == pytest.approx(1.5 * S**2 / (S**2 + sigma**2), abs=4 * error.item())
    assert error < 0.02
    for gain in (0.8, 1.2):
        assert values(gain).mean() > mean


def test_each_point_is_told_its_own_level():
    sigma = torch.tensor([[0.1], [0.1], [2.0], [2.0]])
    patches = gaussian_patches(4, S, sigma)
    told = []
    NCSN()(lambda x, sigma: told.append(sigma) or -x, patches.noisy, patches, UNUSED)
    assert torch.equal(told[0], sigma)


def test_patches_draw_from_the_ladder():
    loss = NCSN(ladder=Geometric(lowest=0.5, highest=2.0, count=3))
    assert loss.levels == pytest.approx((2.0, 1.0, 0.5))
    assert loss.needs == {"levels"}
