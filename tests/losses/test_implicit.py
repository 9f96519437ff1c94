import pytest
import torch
from analytic import UNUSED, agree, batches, gaussian_patches, mean_and_error, noisy_patches
from oracles import Mixture

from pcdenoise.errors import UsageError
from pcdenoise.losses.explicit import Explicit
from pcdenoise.losses.implicit import Implicit, second_scan

SIGMA = 0.4


def mixture(dimension, seed=0, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    means = spread * torch.randn(3, dimension, generator=generator, dtype=torch.float64)
    return Mixture(means, torch.tensor([0.1, 0.3, 0.2]).double(), torch.tensor([0.5, 0.3, 0.2]).double())


def draw_from(clean, n=2000):
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return noisy_patches(clean.sample(n, generator), SIGMA, generator)

    return draw


@pytest.mark.parametrize("dimension", [2, 3])
def test_on_a_mixture_it_is_the_explicit_loss_less_a_constant(dimension):
    """Values and gradients of a model with other means, within four standard errors of 50 batches."""
    truth = mixture(dimension)
    means = torch.nn.Parameter(mixture(dimension, seed=1).means)
    model = Mixture(means, truth.variances, truth.weights)

    def explicit(field, x, patches, generator):
        return Explicit()(field, x, patches, generator, known=truth)

    def constant(field, x, patches, generator):
        return (SIGMA * truth(x, patches.sigma)).square().sum(1) / 2 + 0 * means.sum()

    draw = draw_from(truth)
    value, slope = batches(Implicit(), model, means, draw, 50)
    known_value, known_slope = batches(explicit, model, means, draw, 50)
    constants, _ = batches(constant, model, means, draw, 50)
    assert agree(value, known_value - constants)
    assert agree(slope, known_slope)
    # the test would see an error of a tenth
    assert not agree(1.1 * value, known_value - constants)
    assert not agree(1.1 * slope, known_slope)


def test_a_spike_on_every_noisy_point_does_not_pay():
    """`s = -(r - x_i) / h^2`, h at will: `sigma^2 (3 sigma^2 / h^4 - 3 / h^2)`, least at `h^2 = 2 sigma^2`.

    That is what a point tells of a second draw of itself, and no spike: asked at x_i, the loss would fall for ever.
    """
    patches = gaussian_patches(100_000, 1.0, SIGMA)
    for h in (0.1, 2**0.5 * SIGMA, 1.0):
        values = Implicit()(lambda r, sigma: -(r - patches.noisy) / h**2, patches.noisy, patches, torch.Generator())  # noqa: B023
        mean, error = mean_and_error(values)
        expected = SIGMA**2 * (3 * SIGMA**2 / h**4 - 3 / h**2)
        assert mean.item() == pytest.approx(expected, abs=4 * error.item())
        assert 4 * error < 0.05 * abs(expected)


def test_the_second_scan_is_as_noisy_and_independent():
    patches = gaussian_patches(100_000, 1.0, SIGMA)
    first = patches.noisy - patches.clean
    second = second_scan(patches, torch.Generator().manual_seed(7)) - patches.clean
    assert second.std().item() == pytest.approx(SIGMA, rel=0.01)
    assert abs((first * second).mean().item()) < 4 * SIGMA**2 / 300_000**0.5


def test_only_the_core_counts():
    patches = gaussian_patches(30, 1.0, SIGMA)
    patches = type(patches)(**{**vars(patches), "core": torch.tensor([4, 9])})
    assert Implicit()(mixture(3), patches.noisy, patches, UNUSED).shape == (2,)


def test_a_level_is_positive():
    with pytest.raises(UsageError, match=r"loss\.sigma"):
        Implicit(sigma=-1.0)
    assert Implicit(sigma=2.0).levels == (2.0,)
