import math

import pytest
import torch
from analytic import gaussian_patches, patches_of

from pcdenoise.losses.paired_dsm import PairedDSM
from pcdenoise.score import DenoiserField

UNUSED = torch.Generator()


def denoiser(move):
    """A field that moves every point by `move`, whatever level it is told."""
    return DenoiserField(lambda x, sigma: x + move)


def test_minimum_on_a_gaussian_is_the_closed_form():
    """Clean points ~ N(0, s^2 I): the best denoiser is x s^2 / (s^2 + sigma^2).

    Its paired error over sigma^2 is 3 s^2 / (s^2 + sigma^2), the minimum of DSM; the loss is a third of it. The level
    that is told is wrong, as it may be: the denoiser that the score stands for is what counts.
    """
    s, sigma, n = 0.7, 0.4, 100_000
    patches = gaussian_patches(n, s, sigma, estimate=0.5)
    x = patches.noisy
    loss = PairedDSM(surface_weight=0.0, floor=0.0)

    def values(factor):
        return loss(denoiser((factor * s**2 / (s**2 + sigma**2) - 1) * x), x, patches, UNUSED)

    best = values(1.0)
    assert best.shape == (n,)
    assert best.mean().item() == pytest.approx(s**2 / (s**2 + sigma**2), abs=4 * best.std().item() / math.sqrt(n))
    for factor in (0.9, 1.1):  # any other gain is worse
        assert values(factor).mean() > best.mean()


def test_surface_term_counts_the_distance_to_the_plane_only():
    clean, normals = torch.tensor([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]] * 2)
    patches = patches_of(clean, clean, 0.5, normals=normals)
    loss = PairedDSM(surface_weight=2.0, floor=0.0)
    value = loss(denoiser(torch.tensor([[3.0, 4.0, 0.5], [0.0, 0.0, 0.0]])), clean.double(), patches, UNUSED)
    assert value.tolist() == pytest.approx([(25.25 / 3 + 2.0 * 0.25) / 0.25, 0.0])


def test_floor_bounds_the_weight_of_faint_noise():
    zero = torch.zeros(1, 3)
    patches = patches_of(zero, zero, 1e-6, estimate=1.0, spacing=2.0)
    field = denoiser(torch.tensor([[0.1, 0.0, 0.0]]))
    value = PairedDSM(surface_weight=0.0, floor=0.2)(field, zero.double(), patches, UNUSED)
    assert value.item() == pytest.approx(0.01 / 3 / 0.16, rel=1e-5)


def test_a_later_stage_is_judged_from_where_it_stands_and_only_at_the_core():
    patches = gaussian_patches(10, 1.0, 0.3)
    patches = type(patches)(**{**vars(patches), "core": torch.tensor([2, 5, 7])})
    perfect = DenoiserField(lambda x, sigma: patches.clean)
    moved = patches.noisy + 0.1
    values = PairedDSM()(perfect, moved, patches, UNUSED)
    assert values.shape == (3,)
    torch.testing.assert_close(values, torch.zeros(3, dtype=values.dtype), atol=1e-10, rtol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_gives_a_loss_that_is_not_finite(bad):
    patches = gaussian_patches(5, 1.0, 0.3)
    values = PairedDSM()(denoiser(torch.full((5, 3), bad)), patches.noisy, patches, UNUSED)
    assert not torch.isfinite(values).any()
