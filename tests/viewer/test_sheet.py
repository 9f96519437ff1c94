import numpy as np
import pytest
import trimesh
from matplotlib.image import imread

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.viewer import Camera, comparison_sheet, thumbnail
from pcdenoise.viewer.colouring import colouring
from pcdenoise.viewer.sheet import check_comparable, coloured_view, drawable


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


@pytest.mark.parametrize("n", [1, 3])
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


def test_a_sheet_against_a_mesh_has_a_column_and_an_error_for_it(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=3)
    mesh = np.asarray(ball.vertices), np.asarray(ball.faces)
    comparison_sheet({"noisy": PointCloud(sphere(noise=0.03))}, tmp_path / "a.png", reference=mesh)
    picture = imread(tmp_path / "a.png")[:, :, :3]
    assert picture.shape[1] == 2 * 800 + 24 + 2 * 40
    views = picture[90:690, 40:840], picture[90:690, 864:1664]
    inked = [(view < 0.98).any(axis=2).mean() for view in views]
    assert inked[1] == pytest.approx(inked[0], rel=0.2), "the mesh is seen like the cloud"


def test_many_clouds_take_several_rows(tmp_path):
    clouds = {f"cloud {i}": PointCloud(sphere(200, seed=i)) for i in range(5)}
    comparison_sheet(clouds, tmp_path / "a.png", by=None)
    assert imread(tmp_path / "a.png").shape[1] == 3 * 640 + 2 * 24 + 2 * 40


def test_equal_values_have_equal_colours_in_all_clouds_and_points_without_a_value_none():
    left, right = np.array([-1.0, 0, 0]), np.array([1.0, 0, 0])
    points = 0.1 * sphere(400)
    values = np.full(800, 0.3)
    values[400:] = np.nan
    cloud = PointCloud(np.vstack([points + left, points + right]), {"v": values})
    other = PointCloud(cloud.points, {"v": np.linspace(0, 1, 800)})
    painted = colouring("v", {"a": cloud, "b": other}, limits=(0, 1))
    camera = Camera.facing(cloud.points, 200, 100)
    picture = coloured_view(cloud, painted, "a", camera)
    inked = (picture < 255).any(axis=2)
    assert inked[:, :100].any() != inked[:, 100:].any(), "one ball is drawn"
    shown = np.unique(picture[20:80][inked[20:80]], axis=0)
    expected = np.rint(255 * painted.colours("b")[np.abs(other.attributes["v"] - 0.3).argmin()])
    assert (np.abs(shown - expected).max(axis=1) <= 1).any()


def test_a_thumbnail_is_the_cloud_and_nothing_else(tmp_path):
    clean, path = sphere(), tmp_path / "a.png"
    thumbnail(PointCloud(clean), path)
    plain = imread(path)[:, :, :3]
    assert plain.shape == (180, 240, 3)
    assert (plain[0] == 1).all()
    assert (plain < 0.98).any()
    camera = Camera.facing(clean, 100, 80)
    pictures = []
    for error in (0.0, 0.5, 1.0, 2.0):
        thumbnail(PointCloud(clean), path, values=np.full(2000, error), camera=camera)
        pictures.append(imread(path))
    assert pictures[0].shape[:2] == (80, 100)
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])
    assert np.array_equal(pictures[2], pictures[3]), "beyond the scale the last colour stays"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_clouds_that_do_not_belong_together_are_refused(tmp_path):
    cloud = PointCloud(sphere())
    for clouds, reference, words in (
        ({}, None, "no cloud to show"),
        ({"a": cloud, "b": PointCloud(1000 * sphere())}, None, r"b is about 1,000 times .* \(millimetres and metres"),
        ({"a": cloud}, PointCloud(sphere() + 1e4), "the reference lies 10,000 radii away from a|radii away"),
        ({"a": cloud}, PointCloud(np.full((2, 3), np.nan)), "the reference has no finite point"),
    ):
        with pytest.raises(InputError, match=words):
            check_comparable(clouds, reference)
        with pytest.raises(InputError, match=words):
            comparison_sheet(clouds, tmp_path / "a.png", reference=reference)
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_is_drawn_as_the_same_points_each_time():
    ball = trimesh.creation.icosphere(subdivisions=2)
    mesh = np.asarray(ball.vertices), np.asarray(ball.faces)
    np.testing.assert_array_equal(drawable(mesh).points, drawable(mesh).points)
    assert drawable(None) is None
