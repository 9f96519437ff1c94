import pytest
import torch
from analytic import UNUSED, agree, batches, gaussian_patches, mean_and_error
from test_implicit import draw_from, mixture

from pcdenoise.errors import UsageError
from pcdenoise.losses.explicit import Explicit
from pcdenoise.losses.implicit import Implicit
from pcdenoise.losses.sliced import Sliced


class Recorder:
    """A field that notes where it was asked."""

    def __call__(self, x, sigma):
        self.asked = x.detach()
        return -x


class LocalRecorder(Recorder):
    def at(self, rows, offsets, sigma):
        raise NotImplementedError


@pytest.mark.parametrize("variance_reduced", [True, False])
def test_on_a_mixture_it_is_the_explicit_loss_less_a_constant(variance_reduced):
    """Values and gradients of a model with other means, within four standard errors of 50 batches."""
    truth = mixture(3)
    means = torch.nn.Parameter(mixture(3, seed=1).means)
    model = type(truth)(means, truth.variances, truth.weights)

    def explicit(field, x, patches, generator):
        return Explicit()(field, x, patches, generator, known=truth)

    def constant(field, x, patches, generator):
        return (patches.sigma * truth(x, patches.sigma)).square().sum(1) / 2 + 0 * means.sum()

    draw = draw_from(truth)
    value, slope = batches(Sliced(variance_reduced=variance_reduced), model, means, draw, 50)
    known_value, known_slope = batches(explicit, model, means, draw, 50)
    constants, _ = batches(constant, model, means, draw, 50)
    assert agree(value, known_value - constants)
    assert agree(slope, known_slope)
    assert not agree(1.1 * value, known_value - constants)
    assert not agree(1.1 * slope, known_slope)


def test_rows_that_depend_on_each_other_keep_their_own_trace():
    """`s = M x B`: the trace of `d s_i / d x_i` is `M_ii tr B`, whatever row i takes from the others."""
    generator = torch.Generator().manual_seed(0)
    patches = gaussian_patches(12, 1.0, 0.5)
    among = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    within = torch.randn(3, 3, generator=generator, dtype=torch.float64)

    def field(x, sigma):
        return among @ x @ within

    score = field(patches.noisy, patches.sigma)
    expected = 0.25 * (among.diagonal() * within.trace() + score.square().sum(1) / 2)
    draws = torch.stack([Sliced(projections=20)(field, patches.noisy, patches, generator) for _ in range(200)])
    mean, error = mean_and_error(draws)
    assert ((mean - expected).abs() <= 4 * error).all()
    assert (error < 0.1 * expected.abs().mean()).all()


def test_the_reduced_variance_is_less():
    truth = mixture(3)
    patches = draw_from(truth)(0)
    plain, reduced, exact = (
        loss(mixture(3, seed=1), patches.noisy, patches, torch.Generator().manual_seed(1)).var()
        for loss in (Sliced(variance_reduced=False), Sliced(), Implicit())
    )
    assert exact <= reduced < 0.9 * plain


def test_a_field_is_asked_at_its_cloud_and_a_local_one_at_a_second_scan():
    patches = gaussian_patches(50, 1.0, 0.5)
    whole, local = Recorder(), LocalRecorder()
    for field in (whole, local):
        Sliced()(field, patches.noisy, patches, UNUSED)
    assert torch.equal(whole.asked, patches.noisy)
    assert (local.asked - patches.noisy).abs().min() > 0
    assert not patches.noisy.requires_grad


def test_at_least_one_projection():
    with pytest.raises(UsageError, match="projections"):
        Sliced(projections=0)
