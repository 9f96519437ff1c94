import warnings

import numpy as np
import pytest

from pcdenoise.errors import InputError, UsageError
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.evaluation import evaluate
from pcdenoise.metrics.floor import projection
from pcdenoise.metrics.table import measure


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def noisy(sphere):
    return sphere + 0.03 * np.random.default_rng(0).standard_normal(sphere.shape)


@pytest.fixture(scope="module")
def result(sphere, noisy):
    return 0.7 * sphere + 0.3 * noisy


def test_a_result_and_what_stands_beside_it(sphere, noisy, result, ball):
    found = evaluate(result, sphere, ball, noisy)
    assert (found.points, found.left_out, found.not_finite) == (6000, 0, 0)
    assert found.radius == pytest.approx(1, abs=1e-3)
    assert found.result == measure(Comparison(result, sphere, ball, noisy))
    assert found.beside["noisy"] == measure(Comparison(noisy, sphere, ball))
    assert found.beside["projection"] == measure(Comparison(projection(noisy, *ball), sphere, ball, noisy))
    assert found.beside.keys() == {"noisy", "projection", "sampling"}
    # an oracle that knows the mesh is better than a method, an even sampling better than the oracle's uneven one
    chamfer = [found.beside[name]["chamfer"] for name in ("sampling", "projection", "noisy")]
    assert chamfer == sorted(chamfer)


def test_what_is_not_given_is_not_there(sphere, noisy, result, ball):
    assert evaluate(result, sphere).beside == {}
    assert evaluate(result, sphere, noisy=noisy).beside.keys() == {"noisy"}
    assert evaluate(result, sphere, ball, noisy, floor=False).beside.keys() == {"noisy"}


def test_what_a_method_lost_makes_all_its_numbers_undefined(sphere, noisy, result, ball):
    lost = result.copy()
    lost[5], lost[7, 1] = np.nan, np.inf
    with pytest.warns(UserWarning, match="2 of 6,000 points of the result are NaN"):
        found = evaluate(lost, sphere, ball, noisy)
    assert (found.points, found.not_finite) == (6000, 2)
    assert {"chamfer", "p2m", "share_worse"} <= found.result.keys()
    assert np.isnan(list(found.result.values())).all()
    assert np.isfinite(list(found.beside["noisy"].values())).all()


def test_rows_that_never_had_coordinates_are_left_out(sphere, noisy, result):
    expected = evaluate(result, sphere, noisy=noisy)
    gap = np.full((2, 3), np.nan)
    clean, before, after = (np.concatenate([gap, cloud]) for cloud in (sphere, noisy, result))
    assert evaluate(after, clean, noisy=before) == expected.__class__(**{**vars(expected), "left_out": 2})
    alone = evaluate(after, clean)
    assert (alone.points, alone.left_out, alone.not_finite) == (6000, 2, 0)
    assert alone.result["chamfer"] == expected.result["chamfer"]


def test_nothing_to_compare(sphere):
    nothing = np.full((5, 3), np.nan)
    with pytest.raises(InputError, match="result has no finite point"):
        evaluate(nothing, sphere)
    with pytest.raises(InputError, match="clean cloud has no finite point"):
        evaluate(sphere, nothing)
    with pytest.raises(InputError, match="6,000 points, the noisy cloud 5,999"):
        evaluate(sphere, sphere, noisy=sphere[1:])


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1000, r"about 1,000 times as large as the clean cloud.*one unit \(millimetres and metres\?\)"),
        (0.001, r"about 1,000 times smaller than the clean cloud.*one unit \(millimetres and metres\?\)"),
        (25.4, r"about 25 times as large as the clean cloud; bring both to one unit$"),
    ],
)
def test_another_unit(factor, words, sphere, ball):
    with pytest.raises(InputError, match=f"the result is {words}"):
        evaluate(factor * sphere, sphere)
    with pytest.raises(InputError, match=f"the mesh is {words}"):
        evaluate(sphere, sphere, (factor * ball[0], ball[1]))


def test_another_place(sphere, ball):
    with pytest.raises(InputError, match=r"the result lies 50 radii away.*one coordinate system"):
        evaluate(sphere + np.array([50, 0, 0]), sphere)
    with pytest.raises(InputError, match=r"the mesh lies 50 radii away.*one coordinate system"):
        evaluate(sphere, sphere, (ball[0] + [50, 0, 0], ball[1]))


def test_a_bad_result_is_no_other_unit(sphere):
    astray = sphere.copy()
    astray[:10] *= 1000
    assert evaluate(astray, sphere).result["hausdorff"] == pytest.approx(1e2 * 999, rel=1e-3)
    assert evaluate(np.zeros_like(sphere), sphere).result["chamfer"] == pytest.approx(2e4, rel=1e-3)


def test_unequal_counts_are_said(sphere):
    with pytest.warns(UserWarning, match="5,999 points, the clean cloud 6,000"):
        evaluate(sphere[1:], sphere)


def test_a_backend_that_is_missing(sphere, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pip install"):
        evaluate(sphere, sphere, backend="pytorch3d")


def test_a_backend_that_is_there_replaces_what_it_computes(sphere, result, ball, monkeypatch):
    monkeypatch.setattr("pcdenoise.metrics.pytorch3d_backend.check_installed", lambda: None)
    monkeypatch.setattr("pcdenoise.metrics.pytorch3d_backend.published", lambda pair: {"chamfer": 42.0})
    found = evaluate(result, sphere, ball, backend="pytorch3d")
    assert found.result["chamfer"] == found.beside["sampling"]["chamfer"] == 42.0
    assert found.result["p2m"] == evaluate(result, sphere, ball).result["p2m"]
