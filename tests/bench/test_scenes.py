import numpy as np
import pytest

from pcdenoise.bench.scenes import Condition, conditions_of, measured_scenes, noisy_scenes
from pcdenoise.datasets.noise_models import Gaussian
from pcdenoise.datasets.pairs import make_pair
from pcdenoise.errors import UsageError
from pcdenoise.geometry.triangles import point_to_mesh


def test_conditions():
    found = list(conditions_of(["gaussian", "outliers share=0.1"], [0.01, 0.02], [500, 10_000]))
    assert list(map(str, found)) == [
        "500 gaussian 1 %", "500 gaussian 2 %", "500 outliers share=0.1",
        "10K gaussian 1 %", "10K gaussian 2 %", "10K outliers share=0.1",
    ]  # fmt: skip
    assert str(Condition(0, "gaussian", 0.0025)) == "gaussian 0.25 %"


@pytest.mark.parametrize(("noise", "words"), [("nonsense", "no noise model"), ("outliers shar=1", "does not take")])
def test_unknown_noise(noise, words):
    with pytest.raises(UsageError, match=words):
        conditions_of([noise], [0.01], [500])


def test_the_noise_is_that_of_the_published_protocol(ball):
    """Seeded by the place of the shape, the resolution and the level, as all numbers so far."""
    models = conditions_of(["gaussian"], [0.02], [120])
    both = list(noisy_scenes(ball, ["ball", "flat"], models, [0]))
    wanted = Gaussian(0.02)(both[1].clean, np.random.default_rng([1, 120, 200]))
    np.testing.assert_array_equal(both[1].noisy, wanted)
    (alone,) = noisy_scenes(ball, ["flat"], models, [0])
    assert alone.fingerprint == both[1].fingerprint
    (other,) = noisy_scenes(ball, ["flat"], models, [1])
    assert other.fingerprint != alone.fingerprint


def test_no_noise_leaves_the_cloud(ball):
    (scene,) = noisy_scenes(ball, ["ball"], conditions_of(["gaussian"], [0], [120]), [0])
    np.testing.assert_array_equal(scene.noisy, scene.clean)
    assert scene.sigma == 0


def test_noise_that_adds_points(ball):
    (scene,) = noisy_scenes(ball, ["ball"], conditions_of(["outliers share=0.1"], [0.01], [120]), [0])
    assert len(scene.noisy) == 132
    assert scene.sigma == 0


def test_measured_pairs_lie_on_their_mesh(ball):
    clean = ball[1].clouds[120][0].astype(np.float64)
    noisy = clean + 0.01 * np.random.default_rng(0).standard_normal(clean.shape)
    pairs = [make_pair(f"far/{surface.name}", surface.name, 7 * noisy, 7 * clean) for surface in ball[1:]]
    (scene,) = measured_scenes(pairs, ball, ["ball", "flat"])
    assert str(scene.condition) == "files far"
    assert np.sqrt(point_to_mesh(scene.clean, *scene.mesh).squared).max() < 1e-5
    assert scene.sigma == pytest.approx(0.01, rel=0.15)
