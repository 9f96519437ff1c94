import numpy as np
import pytest
from matplotlib.image import imread

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.viewer import Camera, before_after_sheet
from pcdenoise.viewer.sheet import Section, movements


def sphere(n=2000, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points + noise * generator.normal(size=points.shape)


def test_the_sheet_shows_both_clouds_and_the_difference(tmp_path):
    path = tmp_path / "sheet.png"
    before_after_sheet(PointCloud(sphere(noise=0.03)), PointCloud(sphere()), path, title="a $ sphere_1", unit="mm")
    picture = imread(path)[:, :, :3]
    assert picture.shape == (1320, 1920, 3)
    upper = picture[200:700]
    before, after = upper[:, 100:900], upper[:, 1050:1850]
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
    before_after_sheet(cloud, cloud, tmp_path / "tiny.png")
    assert (tmp_path / "tiny.png").stat().st_size > 10_000


def test_nan_rows_colours_utm_and_dropped_rows(tmp_path):
    points = sphere(1500, 0.02) + np.array([5e5, 5e6, 300])
    points[::10] = np.nan
    colors = np.random.default_rng(0).integers(0, 65536, (1500, 3), dtype=np.uint16)
    before = PointCloud(points, {"colors": colors})
    after = PointCloud(points[5:], {"colors": colors[5:]})
    before_after_sheet(before, after, tmp_path / "scan.png")
    assert imread(tmp_path / "scan.png").min() < 0.5


def test_movements_follow_the_rows():
    before, after = PointCloud(np.eye(3)), PointCloud([[1, 0, 2], [0, 1, 0], [np.nan, 0, 1]])
    np.testing.assert_array_equal(movements(before, after), [2, 0, np.nan])


def test_movements_of_fewer_rows_go_to_the_nearest_point():
    before, after = PointCloud(10 * np.eye(3)), PointCloud(10 * np.eye(3)[1:] + [0, 0, 1])
    np.testing.assert_allclose(movements(before, after), [1, 1])


def test_a_section_through_a_sphere_is_a_piece_of_a_circle():
    points = sphere(20_000)
    section = Section.through(points, Camera.facing(points, 300, 200), 0.0)
    across, *sides = (points[section.contains(points)] @ section.axes.T).T
    radius = np.hypot(*sides)
    assert len(radius) > 100
    assert np.ptp(across) <= 0.1 * section.width
    assert np.ptp(radius) < 0.1


def test_a_cloud_without_a_finite_point_is_refused(tmp_path):
    nothing = PointCloud(np.full((3, 3), np.nan))
    with pytest.raises(InputError, match="finite point"):
        before_after_sheet(nothing, nothing, tmp_path / "x.png")


def test_an_unwritable_place_leaves_nothing_and_an_old_sheet_as_it_was(tmp_path, monkeypatch):
    cloud = PointCloud(sphere(50))
    with pytest.raises(OutputError, match=r"cannot write .*missing/x.png: No such file or directory; choose"):
        before_after_sheet(cloud, cloud, tmp_path / "missing" / "x.png")
    old = tmp_path / "old.png"
    old.write_bytes(b"old")

    def full_disk(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        before_after_sheet(cloud, cloud, old)
    assert old.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["old.png"]
