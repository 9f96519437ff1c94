"""A benchmark on own shapes, from words to files."""

import json
import re

import numpy as np
import pytest
import trimesh

from pcdenoise.cloud import PointCloud
from pcdenoise.io import write

WORDS = ["bench", "dataset=folder", "dataset.root=shapes", "dataset.cache_dir=null", "resolution=[150]"]
SMALL = [*WORDS, "methods=[identity,projection,laplacian]", "level=[0.02]"]


@pytest.fixture
def shapes(folder):
    """Two small meshes."""
    (folder / "shapes").mkdir()
    for name, mesh in {"ball": trimesh.creation.icosphere(1), "box": trimesh.creation.box()}.items():
        mesh.export(folder / "shapes" / f"{name}.off")
    return folder / "shapes"


def test_from_words_to_files(cli, shapes, folder):
    words = [
        *SMALL,
        "methods=[identity,projection,laplacian,'taubin passes=1']",
        "noise=[gaussian,'outliers share=0.1']",
    ]
    result = cli(*words, "told=true", "output=out", "baseline=laplacian")
    assert result.code == 0, result.err
    for line in ("chamfer (1e-4 R^2, lower is better)", "p2m minus that of laplacian", "floor, 2 shapes", "The floor:"):
        assert line in result.out
    names = {"cells.jsonl", "table.csv", "cells.csv", "results.json", "table.md", "table.tex", "index.html", "clouds"}
    assert {path.name for path in (folder / "out").iterdir()} == names

    report = json.loads((folder / "out" / "results.json").read_text())
    methods = [
        "identity",
        "projection",
        "sampling",
        "laplacian",
        "laplacian (told)",
        "taubin passes=1",
        "taubin passes=1 (told)",
    ]
    assert list(report["methods"]) == methods
    assert len(report["cells"]) == 2 * 2 * len(methods)
    assert not any(cell["error"] for cell in report["cells"])
    assert {"pcdenoise", "python", "packages", "processor", "cores", "seeds", "config"} <= report["environment"].keys()
    (oracle,) = [
        row for row in report["means"]
        if (row["metric"], row["method"], row["noise"]) == ("point_to_face", "projection", "gaussian")
    ]  # fmt: skip
    assert oracle["mean"] < 1e-6
    page = (folder / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2 * len(methods)  # the clean cloud, but no second sampling
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_a_second_run_runs_nothing_and_says_the_same(cli, shapes, folder, monkeypatch):
    first = cli(*SMALL, "pictures=0", "output=out")
    assert first.code == 0, first.err
    monkeypatch.setattr("pcdenoise.bench.runner._result", None)
    assert cli(*SMALL, "pictures=0", "output=out").out == first.out
    cells = (folder / "out" / "cells.jsonl").read_text()
    assert len(cells.splitlines()) == 2 * 4


def test_a_failing_method_is_reported_and_the_rest_is_there(cli, shapes, folder, monkeypatch):
    def broken(*_):
        raise FloatingPointError("no more")

    monkeypatch.setattr("pcdenoise.denoisers.baselines.laplacian.Laplacian.smooth", broken)
    result = cli(*SMALL, "output=out", "pictures=0")
    assert result.code == 0
    assert "lost: laplacian on box, 150 gaussian 2 %, seed 0: FloatingPointError: no more" in result.out
    assert "lost (2)" in result.out
    report = json.loads((folder / "out" / "results.json").read_text())
    means = {row["method"]: row["mean"] for row in report["means"] if row["metric"] == "chamfer"}
    assert means["laplacian"] is None
    assert means["identity"] > means["projection"] > 0


def test_where_nothing_can_be_drawn_the_page_says_so(cli, shapes, folder, monkeypatch):
    def blind(*_):
        raise OSError("no canvas")

    monkeypatch.setattr("pcdenoise.cli.bench._draw", blind)
    assert cli(*SMALL, "output=out").code == 0
    assert "Nothing can be drawn here: no canvas" in (folder / "out" / "index.html").read_text()


def test_noisy_clouds_that_the_data_set_has(cli, folder):
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((150, 3))
    clean /= np.linalg.norm(clean, axis=1, keepdims=True)
    for name, points in {"clean": clean, "noisy": clean + 0.02 * rng.standard_normal(clean.shape)}.items():
        (folder / "shapes" / name).mkdir(parents=True)
        write(PointCloud(points), folder / "shapes" / name / "ball.ply")
    words = [*WORDS[:-1], "resolution=null", "noise=[files]", "methods=[laplacian]", "output=out"]
    result = cli(*words)
    assert result.code == 0, result.err
    report = json.loads((folder / "out" / "results.json").read_text())
    assert list(report["methods"]) == ["identity", "laplacian"]  # no mesh, no floor
    assert report["cells"][0]["sigma"] == pytest.approx(0.02, rel=0.1)
    words[-2] = "methods=[projection]"
    result = cli(*words)
    assert (result.code, "needs the true mesh" in result.err) == (2, True)


def test_the_data_set_is_asked_for_what_the_benchmark_needs(cli):
    def dataset(*words):
        return json.loads(cli("bench", "--show", "resolution=[50000]", *words).out)["dataset"]

    asked = dataset("dataset=pu_net", "dataset.root=a")
    assert (asked["split"], asked["resolutions"], asked["meshes"]) == ("test", [50000], True)
    assert dataset("dataset=pu_net", "dataset.root=a", "dataset.split=train")["split"] == "train"
    assert "meshes" not in dataset("dataset=pc_net", "dataset.root=a")  # which has none


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (2, "there is no method 'nonsense'; choose from", ["methods=[nonsense]"]),
        (2, "does not take 'neighbours=3'", ['methods=[edgeconv,"edgeconv neighbours=3"]']),
        (5, "there is no model", ["methods=[nowhere.safetensors]"]),
        (2, "there is no noise model 'nonsense'", ["noise=[nonsense]"]),
        (2, "there is no metric 'nonsense'", ["columns=[nonsense]"]),
        (2, "there is no shape 'nonsense' in the data set; choose from ball, box", ["shapes=[nonsense]"]),
        (2, "the baseline 'jet' is not among the methods", ["baseline=jet"]),
        (2, "level is 'much'", ["level=much"]),
        (2, "seeds is [-1]", ["seeds=[-1]"]),
        (2, "told is 'perhaps'", ["told=perhaps"]),
        (2, "no noisy clouds of its own", ["noise=[files]", "dataset=shapes"]),
        (3, "there is no folder nowhere", ["dataset.root=nowhere"]),
        (2, "dataset.root", ["dataset=pu_net"]),
        (4, "is not a folder that may be written to", ["output=shapes/ball.off"]),
    ],
)
def test_mistakes_are_refused_before_the_work(refused, shapes, code, words, arguments):
    overriding = any(word.startswith("dataset=") for word in arguments)
    plain = [w for w in SMALL if not (overriding and w.startswith("dataset"))]
    refused(code, words, *plain, *(["dataset.count=1"] if "dataset=shapes" in arguments else []), *arguments)
