import pytest
import torch
from analytic import UNUSED, gaussian_patches, mean_and_error
from oracles import Gaussian

from pcdenoise.errors import UsageError
from pcdenoise.losses.dsm import DSM

S, SIGMA = 0.7, 0.4


def test_minimum_on_a_gaussian_is_the_closed_form():
    """Clean points ~ N(0, s^2 I): the score of the noisy ones is the best field, at `3 s^2 / (s^2 + sigma^2)`."""
    patches = gaussian_patches(100_000, S, SIGMA)
    exact = Gaussian.isotropic(S**2)

    def values(gain):
        return DSM()(lambda x, sigma: gain * exact(x, sigma), patches.noisy, patches, UNUSED)

    mean, error = mean_and_error(values(1.0))
    assert values(1.0).shape == (100_000,)
    assert mean.item() == pytest.approx(3 * S**2 / (S**2 + SIGMA**2), abs=4 * error.item())
    assert error < 0.01
    for gain in (0.9, 1.1):  # any other gain is worse
        assert values(gain).mean() > mean


def test_the_field_is_asked_where_the_cloud_stands_and_told_the_true_noise():
    patches = gaussian_patches(10, S, SIGMA, estimate=0.9)
    asked = []

    def field(x, sigma):
        asked.append((x, sigma))
        return (patches.clean - x) / sigma**2

    moved = patches.noisy + 0.1
    values = DSM()(field, moved, patches, UNUSED)
    assert len(asked) == 1
    assert torch.equal(asked[0][0], moved)
    assert torch.equal(asked[0][1], patches.sigma)
    assert values.max() < 1e-10


def test_patches_have_the_one_level():
    assert DSM(sigma=0.5).levels == (0.5,)
    with pytest.raises(UsageError, match=r"loss\.sigma"):
        DSM(sigma=0.0)
