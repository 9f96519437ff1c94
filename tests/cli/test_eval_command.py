import io
import json
import sys

import numpy as np
import pytest
import trimesh

from pcdenoise.cloud import PointCloud
from pcdenoise.io import write
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.table import METRICS, measure


@pytest.fixture(scope="module")
def ball():
    return trimesh.creation.icosphere(subdivisions=2)


@pytest.fixture(scope="module")
def clouds(sphere):
    """Clean, noisy and denoised, 600 points each."""
    clean = sphere[::10]
    noise = 0.05 * np.random.default_rng(0).standard_normal(clean.shape)
    return {"clean": clean, "noisy": clean + noise, "result": clean + 0.3 * noise}


@pytest.fixture
def files(folder, clouds, ball):
    """result.xyz, clean.ply, noisy.npy, mesh.off"""
    paths = {"result": folder / "result.xyz", "clean": folder / "clean.ply", "noisy": folder / "noisy.npy"}
    for name, path in paths.items():
        write(PointCloud(clouds[name]), path)
    ball.export(folder / "mesh.off")
    return paths | {"mesh": folder / "mesh.off"}


@pytest.fixture
def everything(files):
    return ["eval", files["result"], "--clean", files["clean"], "--mesh", files["mesh"], "--noisy", files["noisy"]]


@pytest.fixture
def folders(folder, clouds, ball):
    """Two shapes, the second one twice as noisy, in a folder for each kind of file."""
    for kind, suffix in {"result": ".xyz", "clean": ".ply", "noisy": ".npy"}.items():
        (folder / kind).mkdir()
        for name, factor in {"a": 1, "b": 2}.items():
            points = clouds["clean"] + factor * (clouds[kind] - clouds["clean"])
            write(PointCloud(points), folder / kind / f"{name}{suffix}")
    (folder / "mesh").mkdir()
    for name in "abc":
        ball.export(folder / "mesh" / f"{name}.off")
    return {kind: folder / kind for kind in ("result", "clean", "noisy", "mesh")}


class TestPair:
    def test_json_has_each_metric_in_its_printed_unit(self, cli, everything, clouds, ball):
        result = cli(*everything, "--json")
        assert (result.code, result.err) == (0, "")
        found = json.loads(result.out, parse_constant=pytest.fail)
        mesh = np.asarray(ball.vertices), np.asarray(ball.faces)
        expected = measure(Comparison(clouds["result"], clouds["clean"], mesh, clouds["noisy"]))
        assert {"chamfer", "p2m", "point_to_face", "face_to_point", "p2m_family_b", "share_worse"} <= expected.keys()
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
        assert found["units"] == {metric.name: metric.unit.text for metric in METRICS if metric.name in expected}
        assert (found["points"], found["not_finite"], found["left_out"]) == (600, 0, 0)
        assert found["sampling"]["chamfer"] < found["noisy"]["chamfer"]
        assert found["projection"]["point_to_face"] == pytest.approx(0, abs=1e-8)

    def test_for_people(self, cli, everything):
        result = cli(*everything)
        assert (result.code, result.err) == (0, "")
        numbers = json.loads(cli(*everything, "--json").out)
        lines = {line.split()[0]: line for line in result.out.splitlines()}
        assert "600 points" in result.out.splitlines()[0]
        assert lines["unit"].split() == ["unit", "result", "noisy", "projection", "sampling"]
        assert lines["chamfer"].split()[1:5] == ["↓", "1e-4", "R^2", f"{numbers['chamfer']:.3f}"]
        assert lines["f_score"].split()[1:3] == ["↑", "%"]
        assert lines["bias"].split()[1] == "→0"
        assert lines["displacement_mean"].split()[1:] == [
            *("1e-2", "R"),
            *(f"{number:.3f}" for number in (numbers["displacement_mean"], numbers["projection"]["displacement_mean"])),
        ]

    def test_less_is_given(self, cli, files, everything):
        only_clouds = json.loads(cli("eval", files["result"], "--clean", files["clean"], "--json").out)
        assert "chamfer" in only_clouds
        assert not only_clouds.keys() & {"p2m", "noisy", "projection", "sampling", "share_worse"}
        without_floor = json.loads(cli(*everything, "--no-floor", "--json").out)
        assert {"p2m", "noisy", "share_worse"} <= without_floor.keys()
        assert not without_floor.keys() & {"projection", "sampling"}

    def test_normals_of_the_clean_cloud_give_the_bias(self, cli, files, folder, clouds):
        write(PointCloud(clouds["clean"], {"normals": clouds["clean"]}), folder / "normals.ply")
        write(PointCloud(0.98 * clouds["clean"]), folder / "shrunk.ply")
        found = json.loads(cli("eval", folder / "shrunk.ply", "--clean", folder / "normals.ply", "--json").out)
        assert found["bias"] == pytest.approx(-2, rel=1e-2)

    def test_nothing_is_written(self, cli, everything, listing):
        before = listing()
        cli(*everything)
        assert listing() == before

    def test_an_open_mesh(self, cli, files, folder, ball):
        half = ball.faces[ball.triangles_center[:, 2] > 0]
        trimesh.Trimesh(ball.vertices, half).export(folder / "open.off")
        found = json.loads(cli("eval", files["result"], "--clean", files["clean"], "--mesh", "open.off", "--json").out)
        assert found["point_to_face"] > 100  # the lower half is far from it

    def test_a_terminal_without_arrows(self, everything, monkeypatch):
        from pcdenoise.cli.main import main

        out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        monkeypatch.setattr(sys, "stdout", out)
        assert main([str(word) for word in everything]) == 0
        out.seek(0)
        assert "chamfer                 v  1e-4 R^2" in out.read()


class TestFolders:
    def test_means_and_shapes(self, cli, folders):
        words = ["eval", folders["result"], "--clean", folders["clean"], "--mesh", folders["mesh"]]
        words += ["--noisy", folders["noisy"]]
        result = cli(*words, "--json")
        assert (result.code, result.err) == (0, "")
        found = json.loads(result.out)
        assert found["shapes"].keys() == {"a", "b"}
        assert found["points"] == 1200
        for column in (lambda part: part, lambda part: part["noisy"], lambda part: part["sampling"]):
            a, b, mean = (column(part)["chamfer"] for part in (*found["shapes"].values(), found))
            assert mean == pytest.approx((a + b) / 2)
        text = cli(*words).out
        assert "mean over 2 shapes, 1,200 points" in text
        assert f"{found['chamfer']:.3f}" in text
        rows = [line.split() for line in text.splitlines()[-2:]]
        assert rows == [[n, *(f"{found['shapes'][n][key]:.3f}" for key in ("chamfer", "p2m"))] for n in "ab"]

    def test_a_lost_point_of_one_shape_is_not_averaged_away(self, cli, folders, clouds):
        points = clouds["result"].copy()
        points[3] = np.nan
        write(PointCloud(points), folders["result"] / "a.xyz", overwrite=True)
        result = cli("eval", folders["result"], "--clean", folders["clean"], "--json")
        assert "1 of 600 points of the result are NaN" in result.err
        found = json.loads(result.out, parse_constant=pytest.fail)
        assert found["chamfer"] is None
        assert found["not_finite"] == 1
        assert found["shapes"]["b"]["chamfer"] > 0

    def test_a_metric_that_only_some_shapes_have(self, cli, folders):
        box = trimesh.creation.box([1.2, 1.2, 1.2])
        box.export(folders["mesh"] / "b.off")
        words = ["eval", folders["result"], "--clean", folders["clean"], "--mesh", folders["mesh"], "--no-floor"]
        (line,) = (line for line in cli(*words).out.splitlines() if line.startswith("error_edge"))
        assert line.endswith("(1 of 2 shapes)")

    def test_names_without_a_partner(self, refused, cli, folders):
        (folders["clean"] / "b.ply").rename(folders["clean"] / "other.ply")
        words = ["eval", folders["result"], "--clean", folders["clean"]]
        refused(3, ["clean has no file named b", "name them alike"], *words)
        (folders["result"] / "b.xyz").unlink()
        result = cli(*words)
        assert result.code == 0
        assert "result has no result for other" in result.err
        (folders["mesh"] / "a.off").unlink()
        refused(3, ["mesh has no file named a"], *words, "--mesh", folders["mesh"])

    def test_the_same_name_twice(self, refused, folders, clouds):
        write(PointCloud(clouds["clean"]), folders["clean"] / "a.xyz")
        refused(3, "several files named a", "eval", folders["result"], "--clean", folders["clean"])

    def test_no_clouds(self, refused, folder, folders):
        (folder / "empty").mkdir()
        refused(3, ["empty holds no point clouds", ".ply"], "eval", folder / "empty", "--clean", folders["clean"])

    def test_a_folder_and_a_file(self, refused, folders):
        words = ["eval", folders["result"], "--clean", folders["clean"] / "a.ply"]
        refused(2, ["RESULT is a folder and --clean is not"], *words)


class TestBadInput:
    def test_lost_points(self, cli, files, clouds):
        points = clouds["result"].copy()
        points[:3] = np.nan
        write(PointCloud(points), files["result"], overwrite=True)
        result = cli("eval", files["result"], "--clean", files["clean"], "--noisy", files["noisy"])
        assert result.code == 0
        assert result.err.startswith("pcdenoise: warning: 3 of 600 points of the result are NaN")
        assert "600 points, 3 NaN or infinite" in result.out
        line = next(line for line in result.out.splitlines() if line.startswith("chamfer "))
        assert line.split()[-2] == "nan"  # and the noisy cloud beside it has its number
        assert float(line.split()[-1]) > 0

    def test_rows_that_never_had_coordinates(self, cli, files, clouds):
        gap = np.full((4, 3), np.nan)
        for name in ("result", "noisy"):
            write(PointCloud(np.concatenate([clouds[name], gap])), files[name], overwrite=True)
        result = cli("eval", files["result"], "--clean", files["clean"], "--noisy", files["noisy"])
        assert result.err == ""
        assert "600 points, 4 without coordinates left out" in result.out

    @pytest.mark.parametrize("option", ["RESULT", "--clean", "--mesh", "--noisy"])
    def test_missing_files(self, option, refused, files):
        given = {"--clean": files["clean"], "--mesh": files["mesh"], "--noisy": files["noisy"]}
        result = files["result"] if option != "RESULT" else "nowhere.ply"
        given = {name: "nowhere.ply" if name == option else path for name, path in given.items()}
        refused(3, "nowhere.ply", "eval", result, *(word for pair in given.items() for word in pair))

    def test_another_count(self, refused, cli, files, clouds):
        write(PointCloud(clouds["noisy"][1:]), files["noisy"], overwrite=True)
        words = ["eval", files["result"], "--clean", files["clean"]]
        refused(3, ["result.xyz", "600 points, the noisy cloud 599"], *words, "--noisy", files["noisy"])
        write(PointCloud(clouds["clean"][1:]), files["clean"], overwrite=True)
        result = cli(*words)
        assert (result.code, result.err.count("\n")) == (0, 1)
        assert "warning: the result has 600 points, the clean cloud 599" in result.err

    def test_another_unit(self, refused, files, clouds):
        write(PointCloud(1000 * clouds["result"]), files["result"], overwrite=True)
        words = ["about 1,000 times as large as the clean cloud", "millimetres and metres?"]
        refused(3, words, "eval", files["result"], "--clean", files["clean"])

    def test_nothing_in_it(self, refused, files, folder):
        files["result"].write_text("nan nan nan\n" * 600)
        refused(3, "no finite point", "eval", files["result"], "--clean", files["clean"])
        files["result"].write_text("")
        refused(3, "is empty", "eval", files["result"], "--clean", files["clean"])

    def test_a_mesh_without_faces(self, refused, files):
        words = ["eval", files["result"], "--clean", files["clean"]]
        refused(3, ["clean.ply", "no faces"], *words, "--mesh", files["clean"])
        refused(3, ["noisy.npy"], *words, "--mesh", files["noisy"])

    def test_a_backend_that_is_missing(self, refused, files, monkeypatch):
        monkeypatch.setattr("pcdenoise.metrics.pytorch3d_backend.importlib.util.find_spec", lambda _: None)
        words = ["pytorch3d is not installed", "pip install"]
        refused(2, words, "eval", files["result"], "--clean", files["clean"], "--backend", "pytorch3d")

    def test_usage(self, refused, files):
        refused(2, ["--clean", "see pcdenoise eval --help"], "eval", files["result"])
        refused(2, ["'better'", "exact"], "eval", files["result"], "--clean", files["clean"], "--backend", "better")


def test_help_loads_nothing_heavy(run):
    script = """
import sys
from pcdenoise.cli.main import main
try:
    main(["eval", "--help"])
except SystemExit as done:
    print("code", done.code)
print("loaded", [name for name in ("torch", "numpy", "scipy", "numba", "open3d", "trimesh") if name in sys.modules])
"""
    assert run(script=script).out.endswith("code 0\nloaded []\n")
