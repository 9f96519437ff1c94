"""Averages of neighbours against direct computations."""

import numpy as np
import pytest
from noisy_surfaces import from_sphere, kept_deviation, noisy_ball, plane

from pcdenoise.denoisers.baselines.glr import Glr
from pcdenoise.denoisers.baselines.guided import Guided
from pcdenoise.denoisers.baselines.laplacian import Laplacian, averaging
from pcdenoise.denoisers.baselines.taubin import Taubin
from pcdenoise.errors import UsageError


def nearest(points, i, k):
    return np.argsort(((points - points[i]) ** 2).sum(axis=1), kind="stable")[:k]


@pytest.mark.parametrize("k", [9, 25])
def test_a_whole_laplacian_step_leaves_the_noise_of_a_mean(k):
    assert kept_deviation(Laplacian(neighbours=k, step=1.0, passes=1)) == pytest.approx(1 / np.sqrt(k), rel=0.1)


def test_laplacian_steps_add_up():
    noisy = noisy_ball(300)
    expected = noisy
    for _ in range(3):
        mean = np.array([expected[nearest(noisy, i, 7)[1:]].mean(axis=0) for i in range(300)])
        expected = 0.7 * expected + 0.3 * mean
    np.testing.assert_allclose(Laplacian(neighbours=6, step=0.3, passes=3).smooth(noisy, 1), expected, atol=1e-12)


def test_taubin_is_its_transfer_function():
    noisy = noisy_ball(300)
    k = np.eye(300) - averaging(noisy, 8).toarray()
    back = 1 / (1 / 0.5 - 0.1)
    one = (np.eye(300) + back * k) @ (np.eye(300) - 0.5 * k)
    moved = Taubin(neighbours=8, step=0.5, pass_band=0.1, passes=3).smooth(noisy, 1)
    np.testing.assert_allclose(moved, one @ one @ one @ noisy, atol=1e-10)


def test_taubin_shrinks_less_than_laplacian():
    noisy = noisy_ball(3000, 0.02)

    def radius(method):
        return np.linalg.norm(method.smooth(noisy, 1), axis=1).mean()

    assert 1 - radius(Taubin(passes=10)) < 0.3 * (1 - radius(Laplacian(passes=10)))


def test_guided_is_the_ridge_fit_of_a_neighbourhood():
    noisy = noisy_ball(200)
    expected = np.empty_like(noisy)
    for i in range(200):
        around = noisy[nearest(noisy, i, 12)]
        mean, covariance = around.mean(axis=0), np.cov(around.T, bias=True)
        a = covariance @ np.linalg.inv(covariance + (1.5 * 0.05) ** 2 * np.eye(3))
        expected[i] = a @ noisy[i] + mean - a @ mean
    np.testing.assert_allclose(Guided(neighbours=12, softness=1.5, passes=1).smooth(noisy, 0.05), expected, atol=1e-9)


class TestGlr:
    def test_much_fidelity_keeps_the_cloud(self):
        noisy = noisy_ball(600)
        np.testing.assert_allclose(Glr(fidelity=1e6).smooth(noisy, 0.05), noisy, atol=1e-4)

    def test_less_fidelity_smooths_more(self):
        noisy = noisy_ball(1500)
        left = [from_sphere(Glr(fidelity=f, passes=1).smooth(noisy, 0.05)) for f in (3.0, 1.0, 0.4)]
        assert left[0] > left[1] > left[2]
        assert left[2] < 0.6 * from_sphere(noisy)

    def test_a_plane_stays_flat(self):
        flat, _ = plane(400)
        np.testing.assert_allclose(Glr().smooth(flat, 0.5)[:, 2], 0, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "values", "fact"),
    [
        (Laplacian, {"step": 1.5}, "step of Laplacian is 1.5"),
        (Laplacian, {"neighbours": 2}, "neighbours of Laplacian is 2"),
        (Taubin, {"pass_band": 2.0}, "pass_band of Taubin is 2.0; give a number below 2"),
        (Guided, {"softness": 0.0}, "softness of Guided is 0.0"),
        (Glr, {"share": 1.5}, "share of Glr is 1.5"),
        (Glr, {"fidelity": -1}, "fidelity of Glr is -1"),
    ],
)
def test_filters_refuse_values_out_of_range(kind, values, fact):
    with pytest.raises(UsageError, match=fact):
        kind(**values)
