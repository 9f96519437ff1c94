import math

import numpy as np
import pytest
import torch
from oracles import Gaussian, Plane

from pcdenoise.errors import UsageError
from pcdenoise.samplers.ode import ODE
from pcdenoise.schedules import Geometric, Karras, VariancePreserving


@pytest.mark.parametrize("ladder", [Geometric, Karras])
@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_convergence(ladder, method, order):
    """On N(0, s^2) the exact flow is `x(sigma) = x_0 sqrt((s^2 + sigma^2) / (s^2 + sigma_0^2))`."""
    s, top, bottom = 0.7, 3.0, 0.05
    exact = math.sqrt((s**2 + bottom**2) / (s**2 + top**2))
    counts = np.array([20, 40, 80, 160])
    errors = []
    for count in counts:
        sampler = ODE(ladder(bottom, count=int(count)), method)
        x = torch.ones(1, 3, dtype=torch.float64)
        *_, reached, last = sampler(Gaussian.isotropic(s**2), x, torch.tensor([[top]]).double())
        errors.append(abs(reached[0, 0].item() - exact))
        torch.testing.assert_close(last, reached * s**2 / (s**2 + bottom**2))
    slope = np.polyfit(np.log(counts - 1), np.log(errors), 1)[0]
    assert slope == pytest.approx(-order, abs=0.08)


def test_heun_on_one_step_is_the_trapezoidal_rule():
    gaussian, x = Gaussian.isotropic(0.5), torch.tensor([[1.0, 2.0, 3.0]]).double()
    first, _ = ODE(Geometric(0.5, count=2), "heun")(gaussian, x, torch.tensor([[1.0]]).double())
    start = 1.0 / 1.5  # slope over position: sigma / (s^2 + sigma^2)
    end = 0.5 / 0.75 * (1 - 0.5 * start)
    torch.testing.assert_close(first, x * (1 - 0.5 * (start + end) / 2))


def test_on_a_plane_the_distance_falls_with_the_level():
    """There the flow is a straight line in sigma, so that Euler's method is exact and the end lies on the plane."""
    plane, told = Plane.level(), torch.tensor([[2.0], [1.0], [0.5]]).double()
    x = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 2.0, 0.3]]).double()
    ladder = Geometric(0.1, count=6)
    *iterates, last = ODE(ladder, "euler")(plane, x, told)
    for level, y in zip(list(ladder.rungs(told))[1:], iterates, strict=True):
        torch.testing.assert_close(plane.distance(y), plane.distance(x) * (level / told)[:, 0])
        assert torch.equal(y[:, :2], x[:, :2])
    torch.testing.assert_close(plane.distance(last), torch.zeros(3).double(), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("ladder", "method"), [(Geometric(), "midpoint"), (VariancePreserving(), "heun"), (None, "euler")]
)
def test_arguments_outside_their_range_are_refused(ladder, method):
    with pytest.raises(UsageError, match="give "):
        ODE(ladder, method)
