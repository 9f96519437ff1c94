"""Local fits against what least squares leaves of noise on a plane.

A fit of m terms to k even points of a disc leaves, in its middle, noise of variance c / k: c is 1 for planes and 4 for
quadrics without weights, and (1/9) / (1/5)^2 for planes with the weights (1 - r^2)^4.
"""

import numpy as np
import pytest
from noisy_surfaces import from_sphere, kept_deviation, needs_library, noisy_ball, plane, sphere

from pcdenoise.denoisers.baselines.apss import Apss
from pcdenoise.denoisers.baselines.jet import Jet
from pcdenoise.denoisers.baselines.mls import Mls
from pcdenoise.errors import UsageError

WEIGHTED = 25 / 9


@pytest.mark.parametrize(("degree", "c"), [(1, 1.0), (2, 4.0)])
@pytest.mark.parametrize("k", [24, 48])
def test_jet_leaves_what_least_squares_does(degree, c, k):
    needs_library("jet")
    assert kept_deviation(Jet(neighbours=k, degree=degree)) == pytest.approx(np.sqrt(c / k), rel=0.15)


@pytest.mark.parametrize("k", [24, 48])
def test_mls_leaves_what_weighted_least_squares_does(k):
    assert kept_deviation(Mls(neighbours=k, degree=1, steps=1)) == pytest.approx(np.sqrt(WEIGHTED / k), rel=0.15)


def test_apss_without_roundness_is_a_plane_fit():
    kept = kept_deviation(Apss(neighbours=48, plane=96, roundness=0.0, steps=1))
    assert kept == pytest.approx(np.sqrt(WEIGHTED / 48), rel=0.15)


@pytest.mark.parametrize("method", [Jet(), Mls(), Mls(degree=1), Apss(), Apss(roundness=0.0)], ids=repr)
def test_a_plane_stays(method):
    if isinstance(method, Jet):
        needs_library("jet")
    flat, _ = plane(500)
    tilted = flat @ np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    np.testing.assert_allclose(method.smooth(tilted, 0.5), tilted, atol=1e-6)


def test_spheres_fit_spheres_and_planes_cut_them():
    clean = sphere(3000)
    assert from_sphere(Apss(neighbours=48).smooth(clean, 0.1)) < 2e-4
    cut = np.linalg.norm(Apss(neighbours=48, roundness=0.0).smooth(clean, 0.1), axis=1)
    # the mean depth of a cap below its top, weighted: r^2 / 2 with the mean of r^2 = h^2 / 6, h^2 = 4 k / n
    assert 1 - cut.mean() == pytest.approx(4 * 48 / 3000 / 12, rel=0.2)


def test_quadrics_shrink_a_sphere_less_than_planes():
    clean = sphere(3000)
    quadric, flat = (from_sphere(Mls(neighbours=96, degree=d).smooth(clean, 0.1)) for d in (2, 1))
    assert quadric < 0.1 * flat


def test_passes_and_steps_are_made():
    needs_library("jet")
    noisy = noisy_ball(1000)
    jet = Jet(neighbours=32)
    np.testing.assert_allclose(
        Jet(neighbours=32, passes=2).smooth(noisy, 1), jet.smooth(jet.smooth(noisy, 1), 1), atol=1e-12
    )
    assert from_sphere(Mls(steps=3).smooth(noisy, 1)) != from_sphere(Mls(steps=1).smooth(noisy, 1))


@pytest.mark.parametrize(
    ("kind", "values", "fact"),
    [
        (Jet, {"neighbours": 5}, "neighbours of Jet is 5; give a whole number from 6"),
        (Jet, {"degree": 5}, "degree of Jet is 5; give 1, 2, 3 or 4"),
        (Jet, {"passes": 0}, "passes of Jet is 0"),
        (Mls, {"degree": 3}, "degree of Mls is 3; give 1 or 2"),
        (Mls, {"neighbours": 20.5}, "neighbours of Mls is 20.5"),
        (Apss, {"roundness": 1.1}, "roundness of Apss is 1.1"),
        (Apss, {"plane": 2}, "plane of Apss is 2"),
    ],
)
def test_values_out_of_range(kind, values, fact):
    with pytest.raises(UsageError, match=fact):
        kind(**values)
