import numpy as np
import pytest
import torch
from clouds import patches_of
from torch import nn

from pcdenoise.networks.conditional import ConditionalScore


def network(**options):
    torch.manual_seed(0)
    built = ConditionalScore(16, 2, 12, (4, 12), hidden=16, residual=2, **options)
    nn.init.normal_(built.leave.weight, std=0.3)
    return built.eval()


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).random((80, 3))


def field_of(model, points, sigma=0.1):
    return next(model.fields(patches_of(points, sigma)))[1]


def test_a_row_asked_in_its_frame_answers_as_in_the_cloud(points):
    field = field_of(network(), points)
    x = torch.from_numpy(points + 0.05 * np.random.default_rng(1).standard_normal(points.shape))
    rows, sigma = torch.tensor([3, 50, 3]), torch.full((80, 1), 0.07)
    offsets = (x - torch.from_numpy(points))[rows].float()[:, None]
    torch.testing.assert_close(field.at(rows, offsets, sigma[rows])[:, 0], field(x, sigma)[rows])


def test_rows_do_not_see_each_other(points):
    """The score of row i is a function of x_i alone, which exact implicit score matching relies on."""
    field = field_of(network(), points)
    x, sigma = torch.from_numpy(points).requires_grad_(), torch.full((80, 1), 0.07)
    (gradient,) = torch.autograd.grad(field(x, sigma)[7].sum(), x)
    assert gradient[7].abs().sum() > 0
    gradient[7] = 0
    assert not gradient.any()


def test_scale_and_shift_do_not_matter(points):
    model = network()
    wanted = field_of(model, points)(torch.from_numpy(points) + 0.01, torch.full((80, 1), 0.07))
    scaled = field_of(model, 16 * points + 64, 1.6)(
        torch.from_numpy(16 * points + 64) + 0.16, torch.full((80, 1), 1.12)
    )
    torch.testing.assert_close(16 * scaled, wanted, rtol=1e-3, atol=1e-3)


def test_without_conditioning_the_level_is_not_heard(points):
    for conditioned in (True, False):
        model = network(conditioned=conditioned)
        field = field_of(model, points)
        moves = [sigma**2 * field(torch.from_numpy(points) + 0.01, sigma) for sigma in torch.tensor([[0.05], [0.2]])]
        assert torch.allclose(*moves, atol=1e-6) != conditioned
        assert ("levels" in model.offers) == conditioned
