import pytest
import torch
from analytic import UNUSED, agree, batches, noisy_patches, patches_of
from oracles import Mixture

from pcdenoise.errors import UsageError
from pcdenoise.losses.explicit import Explicit, blurred_score


def clean_points(m, seed=0):
    return torch.randn(m, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def points_as_mixture(clean):
    return Mixture(clean, torch.zeros(len(clean)), torch.full((len(clean),), 1 / len(clean)))


def test_score_of_all_clean_points_is_that_of_their_blurred_density():
    clean, x = clean_points(40), clean_points(25, seed=1)
    sigma = torch.full((25, 1), 0.6)
    exact = points_as_mixture(clean)(x, sigma)
    torch.testing.assert_close(
        blurred_score(x, sigma, patches_of(clean, clean, 0.6), 40).double(), exact, rtol=1e-5, atol=1e-5
    )


def test_the_nearest_clean_points_are_enough():
    """A plane of one point per square spacing: 64 of its 1600 points give the score of all of them."""
    side = torch.arange(-20.0, 20.0, dtype=torch.float64)
    clean = torch.stack([*torch.meshgrid(side, side, indexing="ij"), torch.zeros(40, 40)], dim=2).reshape(-1, 3)
    x, sigma = clean_points(200), torch.ones(200, 1)
    exact = points_as_mixture(clean)(x, sigma)
    torch.testing.assert_close(
        blurred_score(x, sigma, patches_of(clean, clean, 1.0), 64).double(), exact, rtol=0, atol=2e-3
    )


def test_it_is_half_the_squared_difference_in_units_of_the_noise():
    patches = patches_of(clean_points(10), clean_points(10, seed=1), 0.3)
    shift = torch.tensor([1.0, 2.0, 2.0])

    def known(x, sigma):
        return torch.sin(x)

    values = Explicit()(lambda x, sigma: known(x, sigma) + shift, patches.noisy, patches, UNUSED, known=known)
    torch.testing.assert_close(values, torch.full((10,), 0.09 / 2 * 9).to(values))


def test_the_blurred_clean_points_have_no_loss():
    clean = clean_points(50)
    patches = noisy_patches(clean, 0.5, torch.Generator().manual_seed(3))
    values = Explicit(neighbours=50)(points_as_mixture(clean), patches.noisy, patches, UNUSED)
    assert values.shape == (50,)
    assert values.max() < 1e-8


def test_denoising_has_the_same_gradient():
    """Vincent's eq. 11: on noisy points, `sigma^2 |s - (y - x) / sigma^2|^2 / 2` differs from it by a constant."""
    clean = clean_points(20)
    means = torch.nn.Parameter(clean_points(4, seed=5))
    model = Mixture(means, torch.full((4,), 0.2).double(), torch.full((4,), 0.25).double())

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        chosen = clean[torch.randint(20, (1000,), generator=generator)]
        return noisy_patches(chosen, 0.5, generator)

    def known(field, x, patches, generator):
        return Explicit()(field, x, patches, generator, known=points_as_mixture(clean))

    def denoising(field, x, patches, generator):
        return (patches.sigma * field(x, patches.sigma) + (x - patches.clean) / patches.sigma).square().sum(1) / 2

    (_, exact), (_, paired) = (batches(loss, model, means, draw, 60) for loss in (known, denoising))
    assert agree(exact, paired)
    assert not agree(exact, 0.9 * paired)


@pytest.mark.parametrize("arguments", [{"sigma": 0.0}, {"neighbours": 0}])
def test_impossible_numbers_are_refused(arguments):
    with pytest.raises(UsageError, match="give"):
        Explicit(**arguments)
