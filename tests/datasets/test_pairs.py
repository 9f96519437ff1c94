import numpy as np
import pytest

from pcdenoise.datasets.noise_models import noise_model, noise_names
from pcdenoise.datasets.pairs import make_pair, some_of
from pcdenoise.errors import InputError


def test_same_rows_and_their_noise(sphere: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    clean = 5 * sphere + [1e5, 0, 0]
    pair = make_pair("far/ball", "ball", clean + 5 * 0.03 * rng.standard_normal(clean.shape), clean)
    assert (pair.name, pair.shape) == ("far/ball", "ball")
    assert pair.same_rows
    np.testing.assert_array_equal(pair.rows, np.arange(6000))
    assert pair.sigma == pytest.approx(0.03, rel=5 / np.sqrt(2 * clean.size))
    np.testing.assert_allclose(np.linalg.norm(pair.clean, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(pair.normals, axis=1), 1)


@pytest.mark.parametrize("level", [0.002, 0.01, 0.03])
def test_other_rows_belong_to_the_nearest(sphere: np.ndarray, level: float) -> None:
    rng = np.random.default_rng(0)
    noisy = (sphere + level * rng.standard_normal(sphere.shape))[rng.permutation(6000)]
    for points in (noisy, noisy[:4000]):
        pair = make_pair("far/ball", "ball", points, sphere)
        assert not pair.same_rows
        distance = np.linalg.norm(pair.noisy - pair.clean[pair.rows], axis=1)
        for row in (0, 17, 3999):
            assert distance[row] == pytest.approx(np.linalg.norm(pair.clean - pair.noisy[row], axis=1).min())
        # what lies along the surface is not known; the curvature within a spacing of 0.046 adds a little
        assert pair.sigma == pytest.approx(level, abs=0.08 * level + 0.0006)


@pytest.mark.parametrize("name", [name for name in noise_names() if "outliers" not in name and name != "scanner"])
def test_every_noise_model_keeps_its_rows(sphere: np.ndarray, name: str) -> None:
    for level in (0.0, 0.03):
        assert make_pair(name, "ball", noise_model(name, level)(sphere, np.random.default_rng(1)), sphere).same_rows


def test_clouds_that_do_not_belong_together(sphere: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"far/ball is 1e\+03 times as large.*one unit"):
        make_pair("far/ball", "ball", 1000 * sphere, sphere)
    with pytest.raises(InputError, match="lies elsewhere"):
        make_pair("far/ball", "ball", sphere + 3, sphere)
    with pytest.raises(InputError, match="empty"):
        make_pair("far/ball", "ball", sphere[:0], sphere)


def test_names_in_messages() -> None:
    assert some_of({"b", "a"}) == "a, b"
    assert some_of({"b", "a", "d", "c", "e"}) == "a, b, c and 2 more"
