import numpy as np
import pytest
from matplotlib.image import imread

from pcdenoise.errors import OutputError
from pcdenoise.metrics.residuals import SurfaceFrames, check_residuals
from pcdenoise.viewer.residual_sheet import VERDICTS, quantile_pairs, residual_sheet, verdict_colours


@pytest.fixture(scope="module")
def check(sphere):
    """Gaussian residuals on a sphere, but for a shift at the top, outliers at the bottom and nothing in the back."""
    residual = 0.03 * np.random.default_rng(0).standard_normal(sphere.shape)
    residual[sphere[:, 2] > 0.8] += 0.05 * sphere[sphere[:, 2] > 0.8]
    residual[np.flatnonzero(sphere[:, 2] < -0.8)[::9]] *= 8
    residual[sphere[:, 1] > 0.8] = 0
    return check_residuals(residual, SurfaceFrames.of(sphere))


def test_the_sheet_is_whole(check, sphere, tmp_path):
    path = tmp_path / "check.png"
    residual_sheet(check, sphere, path, title="a $ sphere_1 - sphere_2")
    picture = imread(path)[:, :, :3]
    assert picture.shape == (1080, 1920, 3)
    assert (picture[:5] == 1).all(), "nothing is cut off at the top"
    assert (picture[-5:] == 1).all(), "nothing is cut off at the bottom"
    assert (picture[:, :5] == 1).all(), "nothing is cut off on the left"
    assert (picture[:, -5:] == 1).all(), "nothing is cut off on the right"
    assert picture[100:900, 800:].std() > 0.1
    assert [p.name for p in tmp_path.iterdir()] == ["check.png"]


def test_each_verdict_has_its_colour_where_it_belongs(check, sphere):
    colours = verdict_colours(check)
    named = {name: (colours == colour).all(axis=1) for name, colour in VERDICTS.items()}
    assert sum(named.values()).tolist() == [1] * 6000
    assert named["not about zero"][sphere[:, 2] > 0.93].mean() > 0.95
    assert named["not Gaussian"][sphere[:, 2] < -0.93].mean() > 0.9
    assert named["not tested"][sphere[:, 1] > 0.97].mean() > 0.6
    assert named["not tested"][sphere[:, 1] < 0.8].sum() < 64, "but for those that are left over"
    middle = (np.abs(sphere[:, 2]) < 0.4) & (sphere[:, 1] < 0.5)
    assert named["Gaussian about zero"][middle].mean() > 0.95


@pytest.mark.parametrize("n", [20, 50_000])
def test_gaussian_values_lie_on_the_line(n):
    values = 3 + 5 * np.random.default_rng(0).standard_normal(n)
    theory, found = quantile_pairs(values)
    assert len(theory) == len(found) <= 300
    assert (np.diff(theory) > 0).all()
    assert (np.diff(found) >= 0).all()
    inner = np.abs(theory) < 1
    np.testing.assert_allclose(found[inner], theory[inner], atol=4 / np.sqrt(n))
    assert found[-1] == pytest.approx((values.max() - values.mean()) / values.std())


def test_a_place_that_is_missing_leaves_nothing(check, sphere, tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        residual_sheet(check, sphere, tmp_path / "missing" / "x.png", title="")
    assert list(tmp_path.iterdir()) == []
