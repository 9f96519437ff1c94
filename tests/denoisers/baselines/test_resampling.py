"""WLOP, RIMLS and the bilateral filter: what libraries do, seen from outside."""

import numpy as np
import pytest
from noisy_surfaces import from_sphere, kept_deviation, needs_library, noisy_ball, plane

from pcdenoise.denoisers.baselines.bilateral import Bilateral
from pcdenoise.denoisers.baselines.rimls import Rimls
from pcdenoise.denoisers.baselines.wlop import Wlop
from pcdenoise.errors import UsageError


class TestWlop:
    def test_rows_keep_their_place_in_the_order(self):
        needs_library("wlop")
        noisy = noisy_ball(1000)
        moved = Wlop(radius=0.3).smooth(noisy, 0.05)
        assert np.linalg.norm(moved - noisy, axis=1).max() < 0.5
        assert from_sphere(moved) < 0.5 * from_sphere(noisy)


class TestBilateral:
    def test_a_plane_stays_and_its_noise_goes(self):
        needs_library("bilateral")
        flat, _ = plane(500)
        np.testing.assert_allclose(Bilateral().smooth(flat, 0.5)[:, 2], 0, atol=1e-9)
        assert kept_deviation(Bilateral(passes=4), sigma=0.3) < 0.45

    def test_parts_apart_are_all_smoothed(self):
        """CGAL's own orientation of normals would drop all parts but one."""
        needs_library("bilateral")
        noisy = noisy_ball(800)
        both = Bilateral().smooth(np.concatenate([noisy, noisy + 10]), 0.05)
        np.testing.assert_allclose(both[:800], both[800:] - 10, atol=1e-6)


class TestRimls:
    def test_a_plane_stays_and_its_noise_goes(self):
        needs_library("rimls")
        flat, _ = plane(500)
        np.testing.assert_allclose(Rimls().smooth(flat, 0.5)[:, 2], 0, atol=1e-9)
        assert kept_deviation(Rimls(scale=6.0), sigma=0.3) < 0.45


@pytest.mark.parametrize(
    ("kind", "values", "fact"),
    [
        (Wlop, {"radius": 0}, "radius of Wlop is 0"),
        (Wlop, {"even": 1}, "even of Wlop is 1; give true or false"),
        (Bilateral, {"sharpness": 91.0}, "sharpness of Bilateral is 91.0"),
        (Rimls, {"scale": -1.0}, "scale of Rimls is -1.0"),
    ],
)
def test_library_methods_refuse_values_out_of_range(kind, values, fact):
    with pytest.raises(UsageError, match=fact):
        kind(**values)
