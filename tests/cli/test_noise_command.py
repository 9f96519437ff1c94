import json

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.datasets.lofts import hull
from pcdenoise.io import read, write


@pytest.fixture
def clean(folder, noisy):
    """A cloud with everything a scanner may say about its points."""
    write(noisy, folder / "clean.ply")
    return folder / "clean.ply"


def same_attributes(first, second, rows=slice(None)):
    assert first.attributes.keys() == second.attributes.keys()
    for name, values in first.attributes.items():
        np.testing.assert_array_equal(second.attributes[name][rows], values)
        assert second.attributes[name].dtype == values.dtype


def test_row_i_out_is_row_i_in(cli, clean, folder):
    result = cli("noise", clean, "--model", "laplace", "--level", "0.01", "--seed", "0")
    assert (result.code, result.err) == (0, "")
    rows = dict(line.split("  ", 1) for line in result.out.splitlines())
    assert rows["noise"].strip() == "laplace, level 0.01, seed 0"
    assert rows["points"].strip() == "2,000"
    before, after = read(clean), read(folder / "clean_noisy.ply")
    same_attributes(before, after)
    moves = after.points - before.points
    middle = (before.points.min(axis=0) + before.points.max(axis=0)) / 2
    radius = np.linalg.norm(before.points - middle, axis=1).max()
    assert np.abs(moves).mean() == pytest.approx(0.01 * radius, rel=5 / np.sqrt(moves.size))


def test_the_seed_decides(cli, clean, folder):
    for name, seed in {"a.ply": 1, "b.ply": 1, "c.ply": 2}.items():
        assert cli("noise", clean, "-o", name, "--seed", seed, "--quiet").out == ""
    a, b, c = ((folder / name).read_bytes() for name in ("a.ply", "b.ply", "c.ply"))
    assert a == b
    assert a != c


def test_for_programs(cli, clean, folder):
    found = json.loads(cli("noise", clean, "--model", "discrete", "probability=0.05", "--json").out)
    assert found["output"] == str(folder / "clean_noisy.ply")
    assert found["values"] == {"level": 0.01, "probability": 0.05}
    assert (found["model"], found["seed"], found["points"], found["added"], found["dropped"]) == (
        "discrete",
        0,
        2000,
        0,
        0,
    )
    before, after = read(clean), read(folder / "clean_noisy.ply")
    squares = ((after.points - before.points) ** 2).sum(axis=1)
    assert found["rms_move"] == pytest.approx(np.sqrt(squares.mean()))
    assert found["largest_move"] == pytest.approx(0.01 * found["unit"])


@pytest.mark.parametrize("suffix", [".ply", ".pcd", ".las", ".npz", ".csv"])
def test_models_that_add_and_drop_rows_say_so(cli, noisy, folder, suffix):
    write(noisy, folder / f"clean{suffix}")
    result = cli("noise", f"clean{suffix}", "--model", "outliers", "share=0.1", "-o", f"more{suffix}")
    assert (result.code, result.err) == (0, "")
    assert "2,200 (200 added, 0 dropped)" in result.out
    before, after = read(folder / f"clean{suffix}"), read(folder / f"more{suffix}")
    same_attributes(before, after, slice(2000))
    assert len(after) == 2200
    found = json.loads(
        cli("noise", f"clean{suffix}", "--model", "scanner", "views=1", "-o", f"less{suffix}", "--json").out
    )
    after = read(folder / f"less{suffix}")
    assert found["points"] == len(after) == 2000 - found["dropped"] < 1500
    assert (np.diff([np.flatnonzero(before.attributes["time"] == t)[0] for t in after.attributes["time"]]) > 0).all()


def test_rows_without_coordinates_stay(cli, noisy, folder):
    points = noisy.points.copy()
    points[7] = np.nan
    write(PointCloud(points, noisy.attributes), folder / "holes.pcd")
    assert cli("noise", "holes.pcd").code == 0
    after = read(folder / "holes_noisy.pcd")
    np.testing.assert_array_equal(~after.finite, np.arange(2000) == 7)


def test_a_mesh_is_scanned(cli, folder):
    vertices, faces = hull(np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 3)], dtype=float))
    rows = [" ".join(map(str, v)) for v in vertices] + [f"3 {a} {b} {c}" for a, b, c in faces]
    (folder / "box.off").write_text("\n".join([f"OFF\n{len(vertices)} {len(faces)} 0", *rows]) + "\n")
    result = cli("noise", "box.off", "--model", "scanner", "--level", "0", "rays=50", "-o", "scan.ply")
    assert (result.code, result.err) == (0, "")
    assert "0 added" not in result.out
    points = read(folder / "scan.ply").points
    assert len(points) > 500
    on_a_side = np.isclose(points, 0, atol=1e-6) | np.isclose(points, [1, 2, 3], atol=1e-6)
    assert on_a_side.any(axis=1).all()
    # and kept as a mesh by a model that only moves its vertices
    assert cli("noise", "box.off").code == 0
    assert (folder / "box_noisy.off").read_text().splitlines()[-len(faces) :] == rows[-len(faces) :]


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (2, ["'nonsense'", "choose from", "gaussian", "uniform_ball"], ["clean.ply", "--model", "nonsense"]),
        (2, ["at least 0"], ["clean.ply", "--level", "-1"]),
        (2, ["give a number"], ["clean.ply", "--level", "nan"]),
        (2, ["--level", "noise --help"], ["clean.ply", "--level", "much"]),
        (2, ["no level", "margin, share"], ["clean.ply", "--model", "outliers", "--level", "0.1"]),
        (2, ["'shares=1'", "margin, share"], ["clean.ply", "--model", "outliers", "shares=1"]),
        (2, ["from 0 to 1/6"], ["clean.ply", "--model", "discrete", "probability=1"]),
        (2, ["seed is -1"], ["clean.ply", "--seed", "-1"]),
        (2, ["not an override"], ["clean.ply", "other.ply"]),
        (3, ["nowhere.ply does not exist"], ["nowhere.ply"]),
        (3, ["unknown suffix '.doc'"], ["clean.doc"]),
        (4, ["clean.ply exists", "--overwrite"], ["clean.ply", "-o", "clean.ply"]),
        (4, ["does not exist"], ["clean.ply", "-o", "nowhere/out.ply"]),
    ],
)
def test_mistakes_are_one_line(clean, refused, code, words, arguments):
    refused(code, words, "noise", *arguments)
