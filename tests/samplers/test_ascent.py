import pytest
import torch
from oracles import Plane

from pcdenoise.errors import UsageError
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.score import DenoiserField


def test_on_a_plane_the_distance_contracts_by_one_minus_the_step():
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.linspace(0.1, 2.0, 100, dtype=torch.float64)[:, None]
    plane = Plane(torch.tensor([0.6, 0.0, 0.8]).double(), 0.4)
    expected = plane.distance(x)
    for t, y in enumerate(Ascent(steps=4, step=0.25, decay=0.5)(plane, x, sigma)):
        expected = expected * (1 - 0.25 * 0.5**t)
        torch.testing.assert_close(plane.distance(y), expected)
        torch.testing.assert_close(torch.linalg.cross(y - x, plane.normal.expand(100, 3)), torch.zeros_like(x))


def test_one_full_step_reaches_the_denoiser():
    """Tweedie: x + sigma^2 score(x, sigma) = D(sigma)."""
    target = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(2))
    (y,) = Ascent()(DenoiserField(lambda x, sigma: target), x, torch.full((50, 1), 0.7))
    torch.testing.assert_close(y, target, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [0, -1, 2.5])
def test_it_takes_at_least_one_whole_step(steps):
    with pytest.raises(UsageError, match="whole number"):
        Ascent(steps=steps)


@pytest.mark.parametrize("arguments", [{"step": 0.0}, {"step": 2.0}, {"decay": 0.0}, {"decay": 1.1}])
def test_numbers_outside_their_range_are_refused(arguments):
    with pytest.raises(UsageError, match="give a number above 0"):
        Ascent(**arguments)
