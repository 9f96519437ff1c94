import math

import pytest
import torch
from analytic import UNUSED, gaussian_patches, patches_of

from pcdenoise.geometry.frame import Frame
from pcdenoise.losses.chamfer import Chamfer
from pcdenoise.losses.paired_dsm import PairedDSM
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.score import DenoiserField


def towards(denoised):
    """The field that puts the rows there, whatever it is told."""
    return DenoiserField(lambda x, sigma: denoised)


def test_without_its_other_terms_it_is_the_chamfer_distance_over_the_variance():
    patches = gaussian_patches(500, 1.0, 0.3, estimate=0.4)
    denoised = 0.9 * patches.noisy
    values = Chamfer(surface_weight=0.0, paired_weight=0.0, attainable=math.inf, floor=0.0)(
        towards(denoised), patches.noisy, patches, UNUSED
    )
    clean = patches.clean.numpy()
    distance = chamfer_distance(denoised.numpy(), clean) * Frame.unit_sphere(clean).scale ** 2
    assert values.mean().item() == pytest.approx(distance / 0.3**2, rel=1e-5)


def test_the_two_sides_of_a_thin_wall_are_better_left_apart_than_put_into_its_middle():
    """Rows that may come from either side: the paired loss is least in the middle, where no surface is."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(4000, 3, generator=generator) * 20
    clean[:, 2] = torch.randint(0, 2, (4000,), generator=generator) * 2.0 - 1.0
    normals = torch.tensor([[0.0, 0.0, 1.0]]).expand(4000, 3)
    patches = patches_of(clean, clean, 1.0, normals=normals)
    x = patches.noisy
    either_side, middle = clean.clone(), clean.clone()
    either_side[:, 2] = torch.randint(0, 2, (4000,), generator=generator) * 2.0 - 1.0
    middle[:, 2] = 0.0

    def mean(loss, denoised):
        return loss(towards(denoised.double()), x, patches, UNUSED).mean()

    assert mean(PairedDSM(surface_weight=0.0), middle) < mean(PairedDSM(surface_weight=0.0), either_side)
    assert mean(Chamfer(surface_weight=0.0), either_side) < 0.5 * mean(Chamfer(surface_weight=0.0), middle)


def test_weights_of_surface_and_pair():
    clean = torch.tensor([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0]])
    patches = patches_of(clean, clean, 0.5, spacing=2.0, normals=torch.tensor([[0.0, 0.0, 1.0]] * 2))
    loss = Chamfer(surface_weight=2.0, paired_weight=0.5, attainable=math.inf, floor=0.1)
    value = loss(towards(clean.double() + torch.tensor([[3.0, 4.0, 0.5], [0, 0, 0]])), clean.double(), patches, UNUSED)
    assert value.tolist() == pytest.approx([(2 * 25.25 + 2.0 * 0.25 + 0.5 * 25.25) / (0.25 + 0.04), 0.0])


@pytest.mark.parametrize(("sigma", "error"), [(0.01, 1e-4), (1000.0, 0.25 * 2.0 * 1002.0)])
def test_errors_count_over_what_can_be_reached(sigma, error):
    """Faint noise left alone, and strong noise averaged over neighbours, have a loss of about 1."""
    clean = torch.tensor([[0.0, 0.0, 0.0], [1e5, 0.0, 0.0]])
    patches = patches_of(clean, clean, sigma, spacing=2.0, normals=torch.tensor([[0.0, 0.0, 1.0]] * 2))
    loss = Chamfer(surface_weight=0.0, paired_weight=0.0, attainable=0.25, floor=0.0)
    off = torch.tensor([math.sqrt(error / 2), 0.0, 0.0])
    assert loss(towards(clean.double() + off), clean.double(), patches, UNUSED).tolist() == pytest.approx(
        [1, 1], rel=3e-3
    )


def test_the_gradient_is_that_of_the_distances_with_their_pairs_held():
    patches = gaussian_patches(200, 1.0, 0.2)
    move = torch.zeros(200, 3, requires_grad=True)
    loss = Chamfer(surface_weight=0.0)

    def value(offset):
        return loss(DenoiserField(lambda x, sigma: x + offset), patches.noisy, patches, UNUSED).mean()

    value(move).backward()
    direction = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    step = 1e-4
    slope = (value(step * direction) - value(-step * direction)) / (2 * step)
    assert (move.grad * direction).sum().item() == pytest.approx(slope.item(), rel=1e-2)


def test_what_is_not_finite_shows_in_the_loss():
    patches = gaussian_patches(50, 1.0, 0.2)
    broken = patches.noisy.clone()
    broken[3] = torch.nan
    assert not torch.isfinite(Chamfer()(towards(broken), patches.noisy, patches, UNUSED)).all()
