from dataclasses import dataclass

import numpy as np
import pytest
from noisy_surfaces import noisy_ball

from pcdenoise.denoisers.baselines.tuned import TunedMethod
from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.noise import estimate_noise

ROWS = ({"noise": 0.5, "amount": 1.0}, {"noise": 2.0, "amount": 2.0})


@dataclass(frozen=True)
class Shift(TunedMethod):
    """Moves all points by `amount` spacings along x."""

    source = "test"

    amount: float = 0.0
    other: float = 7.0

    def check(self):
        self._require(self.amount >= 0, "amount", self.amount, "a number from 0")

    def smooth(self, points, noise):
        return points + np.array([self.amount, 0, 0])


@pytest.mark.parametrize(("noise", "amount"), [(0.01, 1), (0.5, 1), (0.99, 1), (1.01, 2), (2, 2), (100, 2)])
def test_the_row_nearest_by_ratio_is_taken(noise, amount):
    chosen = Shift(tuned=ROWS, other=3.0).at(noise)
    assert (chosen.amount, chosen.other, chosen.tuned) == (amount, 3.0, ())


def test_without_rows_the_constructor_holds():
    assert Shift(amount=4.0).at(1.0).amount == 4


def test_lengths_are_spacings_and_a_blind_call_takes_the_estimate():
    noisy = 30 * noisy_ball(sigma=0.1)
    frame = Frame.of(noisy)
    noise = estimate_noise(frame.to_local(noisy))
    about = ({"noise": 0.9 * noise, "amount": 1.0}, {"noise": 1.2 * noise, "amount": 2.0})
    np.testing.assert_allclose((Shift(tuned=about)(noisy) - noisy)[:, 0], frame.scale, rtol=1e-9)
    told = Shift(tuned=about)(noisy, 1.3 * noise * frame.scale)
    np.testing.assert_allclose((told - noisy)[:, 0], 2 * frame.scale, rtol=1e-9)


def test_a_cloud_without_noise_stays():
    noisy = noisy_ball()
    np.testing.assert_array_equal(Shift(amount=1.0)(noisy, 0.0), noisy)
    flat = noisy * [1, 1, 0]
    np.testing.assert_array_equal(Shift(amount=1.0)(flat), flat)


@pytest.mark.parametrize(
    ("row", "fact"),
    [
        ({"amount": 1.0}, "noise of a row"),
        ({"noise": 0.0}, "noise of a row"),
        ({"noise": 1.0, "size": 2}, "size; give noise, amount, other"),
        ({"noise": 1.0, "amount": -1}, "amount of Shift is -1"),
    ],
)
def test_rows_that_do_not_fit_are_refused(row, fact):
    with pytest.raises(UsageError, match=fact):
        Shift(tuned=(row,))
