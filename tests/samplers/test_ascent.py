import pytest
import torch

from pcdenoise.errors import UsageError
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.score import DenoiserField


def plane_field(x, sigma):
    """Score of N(0, sigma^2) across the plane z = 0."""
    return torch.stack([torch.zeros(len(x)), torch.zeros(len(x)), -x[:, 2]], dim=1) / sigma**2


def test_on_a_plane_the_distance_contracts_by_one_minus_the_step():
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    sigma = torch.full((100, 1), 0.3)
    expected = x[:, 2]
    for t, y in enumerate(Ascent(steps=4, step=0.25, decay=0.5)(plane_field, x, sigma)):
        expected = expected * (1 - 0.25 * 0.5**t)
        torch.testing.assert_close(y[:, 2], expected)
        torch.testing.assert_close(y[:, :2], x[:, :2])


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
