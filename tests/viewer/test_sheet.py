import numpy as np
import pytest
from matplotlib.image import imread

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.viewer import comparison_sheet


def sphere(n=2000, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points + noise * generator.normal(size=points.shape)


def test_the_sheet_shows_both_clouds_and_the_difference(tmp_path):
    path = tmp_path / "sheet.png"
    clouds = {"a $ sphere_1": PointCloud(sphere(noise=0.03)), "after": PointCloud(sphere())}
    comparison_sheet(clouds, path, title="a $ sphere_1", unit="mm")
    picture = imread(path)[:, :, :3]
    assert picture.shape[1] == 2 * 800 + 24 + 2 * 40
    upper = picture[200:700]
    before, after = upper[:, 40:840], upper[:, 864:1664]
    assert before.std() > 0.1
    assert np.abs(before - after).mean() > 0.01
    assert (picture[:5] == 1).all(), "nothing is cut off at the top"
    assert (picture[-5:] == 1).all(), "nothing is cut off at the bottom"
    assert (picture[:, :5] == 1).all(), "nothing is cut off on the left"
    assert (picture[:, -5:] == 1).all(), "nothing is cut off on the right"
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_tiny_clouds_have_a_sheet(tmp_path, n):
    cloud = PointCloud(sphere(n))
    comparison_sheet({"before": cloud, "after": cloud}, tmp_path / "tiny.png")
    assert (tmp_path / "tiny.png").stat().st_size > 10_000


def test_nan_rows_colours_utm_and_dropped_rows(tmp_path):
    points = sphere(1500, 0.02) + np.array([5e5, 5e6, 300])
    points[::10] = np.nan
    colors = np.random.default_rng(0).integers(0, 65536, (1500, 3), dtype=np.uint16)
    before = PointCloud(points, {"colors": colors})
    after = PointCloud(points[5:], {"colors": colors[5:]})
    comparison_sheet({"before": before, "after": after}, tmp_path / "scan.png")
    assert imread(tmp_path / "scan.png").min() < 0.5


def test_a_cloud_without_a_finite_point_is_refused(tmp_path):
    nothing = PointCloud(np.full((3, 3), np.nan))
    with pytest.raises(InputError, match="finite point"):
        comparison_sheet({"before": nothing, "after": nothing}, tmp_path / "x.png")


def test_an_unwritable_place_leaves_nothing_and_an_old_sheet_as_it_was(tmp_path, monkeypatch):
    cloud = PointCloud(sphere(50))
    with pytest.raises(OutputError, match=r"cannot write .*missing/x.png: No such file or directory; choose"):
        comparison_sheet({"before": cloud, "after": cloud}, tmp_path / "missing" / "x.png")
    old = tmp_path / "old.png"
    old.write_bytes(b"old")

    def full_disk(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        comparison_sheet({"before": cloud, "after": cloud}, old)
    assert old.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["old.png"]
