import numpy as np
import pytest

from pcdenoise.datasets.noise_models import Gaussian
from pcdenoise.datasets.surfaces import Surface
from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.training.validation import Validation


class Moves:
    """Stands in for an engine: goes a share of the way from the noisy to the clean cloud."""

    passes = polished_once = 1

    def __init__(self, clean, noisy, share):
        self.frame, self.clean, self.share = Frame.of(noisy), clean, share

    def __call__(self, points, sigma, passes):
        return points + self.share * (self.frame.to_local(self.clean) - points)


@pytest.fixture
def validated(sphere):
    def run(share, level=0.02):
        clean = sphere[::3]
        noisy = Gaussian(level)(clean, np.random.default_rng([1, 0]))
        surface = Surface("sphere", {2000: (clean, clean)})
        return Validation(levels=(level,), resolution=2000)(Moves(clean, noisy, share), [surface])

    return run


def test_a_perfect_denoiser(validated):
    figures = validated(1.0)
    assert figures["cd_0.02"] == pytest.approx(0, abs=1e-6)
    assert figures["score"] == pytest.approx(0, abs=1e-6)
    assert figures["jarque_bera_0.02"] > 0.95


def test_a_denoiser_that_does_nothing(validated):
    figures = validated(0.0)
    assert figures["score"] == pytest.approx(1, abs=1e-6)
    assert figures["jarque_bera_0.02"] == 0


@pytest.mark.parametrize(
    ("values", "facts"),
    [({"levels": ()}, "at least one level"), ({"every": 0}, "at least 1 step"), ({"resolution": 99}, "at least 128")],
)
def test_values_out_of_range_are_refused(values, facts):
    with pytest.raises(UsageError, match=facts):
        Validation(**values)
