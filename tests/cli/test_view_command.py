import sys

import numpy as np
import pytest
from matplotlib.image import imread

from pcdenoise.cloud import PointCloud
from pcdenoise.io import read, write


@pytest.fixture
def clouds(folder, sphere):
    """The names of a noisy and a clean cloud of 1500 points, and another count, unit and no coordinates at all."""
    clean, rng = sphere[::4], np.random.default_rng(0)
    noisy = clean + 0.03 * rng.standard_normal(clean.shape)
    noisy[3] = np.nan
    height = {"height": clean[:, 2], "echo": np.arange(1500)}
    write(PointCloud(noisy, height), folder / "noisy.ply")
    write(PointCloud(clean, {"height": clean[:, 2]}), folder / "clean.ply")
    write(PointCloud(clean[1:]), folder / "fewer.ply")
    write(PointCloud(1000 * clean), folder / "millimetres.ply")
    write(PointCloud(np.full((5, 3), np.nan)), folder / "nothing.ply")
    (folder / "sub").mkdir()
    write(PointCloud(clean), folder / "sub" / "noisy.ply")
    return folder


def test_a_picture_needs_neither_a_display_nor_open3d(cli, clouds, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "open3d", None)
    result = cli("view", "noisy.ply", "clean.ply", "--reference", "clean.ply", "--unit", "mm", "--render", "a.png")
    assert (result.code, result.err) == (0, "")
    assert result.out == "written          a.png\n"
    assert imread(clouds / "a.png").shape[1] == 3 * 640 + 2 * 24 + 2 * 40


@pytest.fixture
def drawn(monkeypatch):
    """What is to be drawn, instead of drawing it."""
    found = {}
    monkeypatch.setattr(
        "pcdenoise.viewer.sheet.comparison_sheet",
        lambda clouds, path, **options: found.update(clouds=clouds, **options),
    )
    return found


def test_options_say_what_is_drawn(cli, clouds, drawn):
    words = ("--color", "height", "--range", 0, 3, "--slice", "z=.5", "--thickness", 0.1, "--unit", "m")
    assert cli("view", "noisy.ply", "clean.ply", *words, "--render", "a.png").code == 0
    assert list(drawn["clouds"]) == ["noisy.ply", "clean.ply"]
    assert (drawn["by"], drawn["limits"], drawn["unit"], drawn["reference"]) == ("height", (0, 3), "m", None)
    section = drawn["section"]
    assert (section.axes[0].tolist(), section.centre[2], section.thickness) == ([0, 0, 1], 0.5, 0.1)
    assert cli("view", "noisy.ply", "--render", "a.png").code == 0
    assert (drawn["by"], drawn["limits"], drawn["section"]) == ("auto", None, None)
    assert cli("view", "noisy.ply", "--color", "plain", "--render", "a.png").code == 0
    assert drawn["by"] is None


def test_a_reference_with_faces_is_a_mesh(cli, clouds, drawn):
    import trimesh

    trimesh.creation.icosphere(subdivisions=3).export(clouds / "ball.off")
    assert cli("view", "noisy.ply", "--reference", "ball.off", "--render", "a.png").code == 0
    assert [part.shape for part in drawn["reference"]] == [(642, 3), (1280, 3)]
    assert cli("view", "noisy.ply", "--reference", "clean.ply", "--render", "a.png").code == 0
    assert len(drawn["reference"]) == 1500


def test_files_of_one_name_are_told_apart_by_their_folder(cli, clouds, drawn):
    assert cli("view", "noisy.ply", "sub/noisy.ply", "--render", "a.png").code == 0
    assert list(drawn["clouds"]) == ["noisy.ply", "sub/noisy.ply"]


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (3, "missing.ply does not exist", ["missing.ply"]),
        (3, "missing.off does not exist", ["clean.ply", "--reference", "missing.off"]),
        (3, "nothing.ply has no finite point", ["nothing.ply"]),
        (3, "nothing.ply: no point is finite", ["nothing.ply", "--slice", "x"]),
        (3, ["millimetres.ply is about 1,000 times", "(millimetres and metres?)"], ["clean.ply", "millimetres.ply"]),
        (3, "the reference is about 1,000 times", ["clean.ply", "--reference", "millimetres.ply"]),
        (3, ["no attribute 'depth'", "it has height, echo"], ["noisy.ply", "--color", "depth"]),
        (3, ["clean.ply has no attribute 'echo'", "it has height"], ["noisy.ply", "clean.ply", "--color", "echo"]),
        (3, ["1,500 points and fewer.ply has 1,499"], ["clean.ply", "fewer.ply", "--color", "displacement"]),
        (3, "between two clouds", ["clean.ply", "--color", "displacement"]),
        (3, ["no point lies in the slice z=9", "reach from -"], ["clean.ply", "--slice", "z=9"]),
        (2, "--reference FILE", ["clean.ply", "--color", "error"]),
        (2, "--slice is 'w'", ["clean.ply", "--slice", "w"]),
        (2, "--slice is 'x=a'", ["clean.ply", "--slice", "x=a"]),
        (2, "--slice is ''", ["clean.ply", "--slice", ""]),
        (2, "--slice z", ["clean.ply", "--thickness", "1"]),
        (2, "thickness is 0.0", ["clean.ply", "--slice", "x", "--thickness", "0"]),
        (2, "point-size is nan", ["clean.ply", "--point-size", "nan"]),
        (2, "range is empty", ["clean.ply", "--range", "1", "1"]),
        (2, "clean.ply is named twice", ["clean.ply", "clean.ply"]),
    ],
)
def test_mistakes_are_told_in_one_line(refused, clouds, monkeypatch, code, words, arguments):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    refused(code, words, "view", *arguments)
    refused(code, words, "view", *arguments, "--render", "a.png")


def test_places_for_the_picture_are_checked_first(refused, clouds):
    refused(4, "a.jpg is no name for a picture; end it in .png", "view", "missing.ply", "--render", "a.jpg")
    (clouds / "a.png").write_text("precious")
    refused(4, ["a.png exists", "--overwrite"], "view", "missing.ply", "--render", "a.png")


def test_without_a_display_the_remedy_is_a_picture(refused, clouds, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    refused(4, ["no display", "--render FILE.png"], "view", "clean.ply")


def test_with_a_display_the_keys_are_listed(cli, clouds, monkeypatch):
    shown = {}

    def show(found, *, opened, **options):
        shown.update(clouds=found, **options)
        opened()

    monkeypatch.setattr("pcdenoise.viewer.window.show", show)
    result = cli("view", "noisy.ply", "clean.ply", "--color", "height", "--point-size", 3, "--slice", "y=0")
    assert (result.code, result.err) == (0, "")
    assert list(shown["clouds"]) == ["noisy.ply", "clean.ply"]
    assert (shown["by"], shown["point_size"], shown["section"].axes[0].tolist()) == ("height", 3, [0, 1, 0])
    assert {"SPACE", "M", "X", "G", "H"} <= {line.split()[0] for line in result.out.splitlines()}


class TestAnimation:
    def test_shows_the_steps(self, cli, scan, folder):
        from PIL import Image

        assert cli("denoise", scan, "--animate", folder / "a.gif").code == 0
        with Image.open(folder / "a.gif") as gif:
            assert gif.n_frames >= 3

    def test_the_last_frame_is_the_result(self, cli, scan, folder, monkeypatch):
        kept = []
        monkeypatch.setattr("pcdenoise.viewer.animation.write_animation", lambda steps, *_, **__: kept.append(steps))
        assert (
            cli("denoise", scan, "--animate", folder / "a.gif", "--max-move", 0.01, "-o", folder / "out.npy").code == 0
        )
        positions = list(kept[0].steps.values())
        np.testing.assert_array_equal(positions[0], read(scan).points)
        np.testing.assert_array_equal(positions[-1], read(folder / "out.npy").points)
        assert np.linalg.norm(positions[-2] - positions[0], axis=1).max() > 0.01

    def test_what_cannot_be_is_refused_first(self, refused, scan, folder):
        refused(4, ["a.png is no name", ".gif or .mp4"], "denoise", scan, "--animate", folder / "a.png")
        refused(2, "has no steps", "denoise", scan, "--animate", folder / "a.gif", "rotations=2")
