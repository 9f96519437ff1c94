import json
import sys
import warnings

import numpy as np
import pytest
import trimesh

from pcdenoise.cloud import PointCloud
from pcdenoise.geometry import neighbour_search
from pcdenoise.io import FORMATS, read, write

SPACING = 0.08  # of 2000 points of a sphere: sqrt(4 pi / 2000)
REPORT = {
    "output", "points", "skipped", "spacing", "noise_before", "noise_after", "passes", "mean_move", "largest_move",
    "seconds", "device", "model", "note",
}  # fmt: skip


def error(cloud):
    return np.abs(np.linalg.norm(cloud.points, axis=1) - 1).mean()


def test_the_output_lies_beside_the_input(cli, scan, folder):
    result = cli("denoise", scan)
    assert (result.code, result.err) == (0, "")
    assert {path.name for path in folder.iterdir()} == {"scan.ply", "scan_denoised.ply"}
    assert error(read(folder / "scan_denoised.ply")) < 0.6 * error(read(scan))
    assert "2,000" in result.out
    assert "scan_denoised.ply" in result.out


def test_the_output_may_be_named_and_of_another_format(cli, scan, noisy, folder):
    assert cli("denoise", scan, "-o", folder / "clean.xyz").code == 0
    np.testing.assert_array_equal(read(folder / "clean.xyz").attributes["colors"], noisy.attributes["colors"])


def test_json_is_the_only_thing_on_standard_output(cli, scan, folder):
    report = json.loads(cli("denoise", scan, "--json").out)
    assert report.keys() == REPORT
    assert report["points"] == 2000
    assert report["noise_after"] < 0.5 * report["noise_before"]
    assert report["passes"] == 3
    assert report["seconds"] > 0
    moved = np.linalg.norm(read(folder / "scan_denoised.ply").points - read(scan).points, axis=1)
    assert report["mean_move"] == pytest.approx(moved.mean())
    assert report["largest_move"] == pytest.approx(moved.max())


def test_quiet_prints_nothing(cli, scan, folder):
    result = cli("denoise", scan, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (folder / "scan_denoised.ply").exists()


def test_progress_is_for_terminals(cli, scan, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "denoising" in cli("denoise", scan).err
    monkeypatch.setattr(neighbour_search, "compiled_before", lambda: False)
    assert "kernels are compiled" in cli("denoise", scan, "--overwrite").err
    assert cli("denoise", scan, "--overwrite", "--quiet").err == ""


class TestOverwriting:
    def test_an_existing_output_is_refused(self, refused, scan, folder):
        (folder / "scan_denoised.ply").write_text("precious")
        refused(4, ["scan_denoised.ply exists", "--overwrite"], "denoise", scan)

    def test_the_input_itself_is_refused(self, refused, scan, folder):
        refused(4, ["scan.ply exists", "--overwrite"], "denoise", scan, "-o", scan)
        (folder / "link.ply").symlink_to(scan)
        refused(4, "link.ply exists", "denoise", scan, "-o", folder / "link.ply")

    def test_either_is_replaced_on_request(self, cli, scan, noisy):
        assert cli("denoise", scan, "-o", scan, "--overwrite").code == 0
        assert error(read(scan)) < 0.6 * error(noisy)
        assert not [path for path in scan.parent.iterdir() if path != scan]


class TestOverrides:
    def test_the_tile_changes_nothing(self, cli, scan, folder):
        for tile in (700, 200_000):
            assert cli("denoise", scan, f"tile={tile}", "-o", folder / f"{tile}.ply").code == 0
        a, b = (read(folder / f"{tile}.ply").points for tile in (700, 200_000))
        np.testing.assert_allclose(a, b, atol=1e-5 * SPACING)

    def test_they_may_stand_anywhere(self, cli, scan, folder, noisy):
        assert (
            cli("denoise", "--passes", "1", scan, "sampler.step=0.5", "relaxation=0", "-o", folder / "half.npy").code
            == 0
        )
        assert cli("denoise", scan, "-o", folder / "whole.npy", "passes=1", "relaxation=0").code == 0
        half, whole = (read(folder / f"{name}.npy").points - noisy.points for name in ("half", "whole"))
        np.testing.assert_allclose(half, whole / 2, atol=1e-4 * SPACING)

    def test_rotations_follow_the_seed(self, cli, scan, folder):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            assert cli("denoise", scan, "rotations=2", "--seed", seed, "-o", folder / f"{name}.npy").code == 0
        a, b, c = (read(folder / f"{name}.npy").points for name in "abc")
        np.testing.assert_array_equal(a, b)
        assert 0 < np.abs(a - c).max() < SPACING

    def test_an_option_beats_an_override(self, cli, scan):
        assert json.loads(cli("denoise", scan, "passes=2", "--passes", 1, "--json").out)["passes"] == 1

    def test_the_model_is_a_name_or_a_file(self, cli, scan):
        assert json.loads(cli("denoise", scan, "model=edgeconv", "--json").out)["model"] == "edgeconv"
        assert cli("denoise", scan, "model=nonsense", "--model", "edgeconv", "--overwrite").code == 0

    @pytest.mark.parametrize(
        ("word", "fact"),
        [
            ("nonsense=1", "nonsense"),
            ("sampler.nonsense=1", "nonsense"),
            ("sampler=nonsense", "nonsense"),
            ("nonsense", "write key=value"),
            ("tile=[1", "[1"),
            ("tile=0", "from 1"),
            ("tile=many", "give a number"),
            ("rotations=2.5", "a whole number"),
            ("rotations=0", "from 1"),
            ("seed=-1", "from 0"),
            ("strength=strong", "give a number"),
            ("max_move=far", "give a number"),
            ("sampler.step=nan", "give a number"),
            ("passes=1.5", "auto or a whole number"),
            ("device=tpu", "auto, cpu or cuda"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, word, fact, refused, scan):
        refused(2, fact, "denoise", scan, word)


class TestOptions:
    @pytest.mark.parametrize(("passes", "made"), [("0", 0), ("1", 1), ("2", 2), ("auto", 3)])
    def test_passes(self, passes, made, cli, scan, folder):
        report = json.loads(cli("denoise", scan, "--passes", passes, "--json").out)
        assert report["passes"] == made
        np.testing.assert_array_equal(read(folder / "scan_denoised.ply").points == read(scan).points, made == 0)

    @pytest.mark.parametrize(
        ("option", "value", "fact"),
        [
            ("--passes", "nonsense", "auto or a whole number"),
            ("--passes", "-1", "auto or a whole number"),
            ("--passes", "99", "from 0 to 4"),
            ("--strength", "2.1", "from 0 to 2"),
            ("--strength", "nan", "give a number"),
            ("--strength", "strong", "--strength"),
            ("--max-move", "0", "positive length"),
            ("--max-move", "-1", "positive length"),
            ("--seed", "-1", "from 0"),
            ("--device", "tpu", "'tpu'"),
            ("--render", "picture.jpg", ".png"),
        ],
    )
    def test_values_out_of_range(self, option, value, fact, refused, scan):
        refused(4 if option == "--render" else 2, fact, "denoise", scan, option, value)

    def test_strength(self, cli, scan, folder, noisy):
        for strength in ("0", "0.5", "1"):
            assert cli("denoise", scan, "--strength", strength, "-o", folder / f"{strength}.npy").code == 0
        none, half, full = (read(folder / f"{name}.npy").points - noisy.points for name in ("0", "0.5", "1"))
        assert not none.any()
        np.testing.assert_allclose(half, full / 2, atol=1e-12)

    def test_max_move(self, cli, scan):
        report = json.loads(cli("denoise", scan, "--max-move", "0.01", "--json").out)
        assert report["largest_move"] == pytest.approx(0.01)

    def test_cuda_where_there_is_none(self, refused, scan, monkeypatch):
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        refused(2, ["no CUDA device", "--device cpu"], "denoise", scan, "--device", "cuda")


class TestPicture:
    def test_it_is_made(self, cli, scan, folder):
        assert cli("denoise", scan, "--render", folder / "sheet.png").code == 0
        assert (folder / "sheet.png").read_bytes().startswith(b"\x89PNG")

    def test_what_cannot_be_written_is_refused_before_the_work(self, refused, scan, folder):
        (folder / "old.png").write_text("precious")
        refused(4, ["old.png exists", "--overwrite"], "denoise", scan, "--render", folder / "old.png")
        refused(4, "does not exist", "denoise", scan, "--render", folder / "nowhere" / "sheet.png")
        (folder / "folder.png").mkdir()
        refused(4, "is a directory", "denoise", scan, "--render", folder / "folder.png")


def noisy_mesh(path):
    mesh = trimesh.creation.icosphere(subdivisions=4)
    mesh.vertices += 0.02 * np.random.default_rng(0).standard_normal(mesh.vertices.shape)
    mesh.export(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_attribute_and_the_order_survive(suffix, cli, noisy, folder):
    source, target = folder / f"scan{suffix}", folder / f"scan_denoised{suffix}"
    if suffix == ".stl":
        noisy_mesh(source)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(noisy, source)
    result = cli("denoise", source, "--passes", "1")
    assert result.code == 0
    assert all(line.startswith("pcdenoise: warning: ") for line in result.err.splitlines())
    before, after = read(source), read(target)
    assert before.attributes.keys() == after.attributes.keys()
    for name, values in before.attributes.items():
        np.testing.assert_array_equal(values, after.attributes[name])
        assert values.dtype == after.attributes[name].dtype
    moved = np.linalg.norm(after.points - before.points, axis=1)
    assert 0 < moved.max() < 3 * SPACING
    assert error(after) < 0.7 * error(before)


def test_what_a_format_cannot_hold_is_one_clean_warning(cli, scan, folder):
    result = cli("denoise", scan, "-o", folder / "scan.bin", "--quiet")
    assert result.code == 0
    assert result.out == ""
    for line in result.err.splitlines():
        assert line.startswith("pcdenoise: warning: ")
    assert "colors" in result.err
    assert ".py" not in result.err


def test_rows_without_coordinates_keep_their_place(cli, noisy, folder):
    points = noisy.points.copy()
    points[[0, 5, 1999]] = np.nan
    points[7, 2] = np.inf
    write(PointCloud(points, noisy.attributes), folder / "holes.ply")
    result = cli("denoise", folder / "holes.ply")
    assert "4 without coordinates" in result.out
    after = read(folder / "holes_denoised.ply")
    np.testing.assert_array_equal(np.isfinite(after.points), np.isfinite(points))
    np.testing.assert_array_equal(after.points[[0, 5, 7, 1999]], points[[0, 5, 7, 1999]])
    np.testing.assert_array_equal(after.attributes["time"], noisy.attributes["time"])


@pytest.mark.parametrize("change", [lambda p: 1e9 * p, lambda p: p + np.array([4.5e5, 5.4e6, 100])], ids=["1e9", "UTM"])
def test_large_coordinates(change, cli, noisy, folder):
    write(PointCloud(noisy.points), folder / "here.npy")
    write(PointCloud(change(noisy.points)), folder / "there.npy")
    for name in ("here", "there"):
        assert cli("denoise", folder / f"{name}.npy").code == 0
    here, there = (read(folder / f"{name}_denoised.npy").points for name in ("here", "there"))
    scale = np.ptp(change(noisy.points), axis=0) / np.ptp(noisy.points, axis=0)
    error = np.abs((there - change(here)) / scale).max(axis=1) / SPACING
    # Rounding decides which of two equally near points is a neighbour, and that moves those around it, a few layers on
    # as many as thousands.
    assert np.median(error) < 1e-5
    assert error.max() < 0.01


def test_thousands_of_duplicates_move_as_one(cli, noisy, folder):
    write(PointCloud(np.concatenate([noisy.points, noisy.points, noisy.points[:1].repeat(3000, 0)])), folder / "a.npy")
    assert cli("denoise", folder / "a.npy").code == 0
    after = read(folder / "a_denoised.npy").points
    np.testing.assert_array_equal(after[:2000], after[2000:4000])
    assert not np.ptp(after[4000:], axis=0).any()
    assert error(PointCloud(after[:2000])) < 0.6 * error(noisy)


@pytest.mark.parametrize(
    "points",
    [
        np.ones((1, 3)),
        np.random.default_rng(0).random((20, 3)),
        np.ones((3000, 3)),
        np.linspace(0, 1, 2000)[:, None] * [1, 2, 3],
        np.random.default_rng(0).random((2000, 3)) * [1, 1, 0],
        np.tile(np.random.default_rng(0).random((10, 3)), (100, 1)),
    ],
    ids=["one", "fewer than k", "all equal", "line", "plane", "few distinct"],
)
class TestNothingToDo:
    def test_the_cloud_comes_back_with_a_warning(self, points, cli, folder):
        write(PointCloud(points), folder / "a.ply")
        result = cli("denoise", folder / "a.ply", "--json")
        assert result.code == 0
        assert result.err.startswith("pcdenoise: warning: ")
        assert "returned unchanged" in result.err
        assert result.err.count("\n") == 1
        report = json.loads(result.out, parse_constant=pytest.fail)
        assert report["note"] in result.err
        assert (report["passes"], report["largest_move"]) == (0, 0)
        np.testing.assert_array_equal(read(folder / "a_denoised.ply").points, points)

    def test_it_can_be_described(self, points, cli, folder):
        write(PointCloud(points), folder / "a.ply")
        assert "leave it unchanged" in cli("info", folder / "a.ply").out


def test_tiles_that_do_not_fit_are_halved(cli, scan, folder, monkeypatch):
    import torch

    from pcdenoise.denoisers.tiling import Tiling

    assert cli("denoise", scan, "-o", folder / "wanted.npy").code == 0
    original, refused = Tiling._gather, []

    def tight(self, rows):
        if len(rows) > 1500:
            refused.append(len(rows))
            torch.empty(2**46)  # the allocator's own complaint
        return original(self, rows)

    monkeypatch.setattr(Tiling, "_gather", tight)
    assert cli("denoise", scan, "-o", folder / "tight.npy").code == 0
    assert refused == [2000, 2000, 2000]  # in each of the three passes
    wanted, found = (read(folder / f"{name}.npy").points for name in ("wanted", "tight"))
    np.testing.assert_allclose(found, wanted, atol=1e-5 * SPACING)
