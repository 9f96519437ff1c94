import json

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.io import write


@pytest.fixture
def clouds(folder, sphere):
    """The names of a clean, a noisy and an exactly denoised sphere, with three rows that lack coordinates."""
    rng = np.random.default_rng(0)
    clean = sphere[rng.permutation(6000)[:2000]]
    noisy = clean + 0.03 * rng.standard_normal(clean.shape)
    noisy[[5, 99]] = np.nan
    denoised = clean.copy()
    denoised[[5, 1200]] = np.nan
    for name, points in {"clean": clean, "noisy": noisy, "denoised": denoised, "shrunk": 0.95 * clean}.items():
        write(PointCloud(points), folder / f"{name}.ply")
    return folder


def test_for_people(cli, clouds, listing):
    before = listing()
    result = cli("check", "noisy.ply", "denoised.ply")
    assert (result.code, result.err) == (0, "")
    assert "points 1,997 (3 without coordinates)" in result.out
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in result.out
    rows = [line.split() for line in lines if line.startswith((" normal", " tangent", " x", " y", " z"))]
    assert [row[0] for row in rows] == ["x", "y", "z", "normal", "tangent", "tangent"]
    normal = rows[3]
    assert float(normal[2]) == pytest.approx(0.03, rel=0.1)
    assert float(normal[5]) > 0.01  # p
    assert normal[7:] == ["0.0%", "0.0%"]
    words = " ".join(result.out.split())
    assert "the residuals are Gaussian in every neighbourhood" in words
    assert "What this cannot tell" in words
    assert listing() == before


def test_for_programs(cli, clouds):
    result = cli("check", "noisy.ply", "denoised.ply", "--json", "--neighbours", 32, "--alpha", 0.1, "--seed", 3)
    found = json.loads(result.out, parse_constant=pytest.fail)
    assert (found["noisy"], found["denoised"], found["clean"]) == ("noisy.ply", "denoised.ply", None)
    assert (found["points"], found["skipped"], found["unmoved"]) == (1997, 3, 0)
    assert (found["neighbours"], found["alpha"], found["seed"]) == (32, 0.1, 3)
    assert found["noise"] is None
    assert found["removed"]["pass_rate"] > 0.95
    normal = found["removed"]["directions"]["normal"]
    assert list(found["removed"]["directions"]) == ["x", "y", "z", "normal", "tangent 1", "tangent 2"]
    assert normal["tested"] == 62
    assert normal["deviation"] == pytest.approx(0.03, rel=0.1)
    assert abs(normal["skewness"]) < 0.3
    assert 0.001 < normal["p_value"] <= 1
    assert {"mean", "excess_kurtosis", "statistic", "limit_p_value", "low", "failing", "shifted"} <= normal.keys()


def test_a_shrunken_surface_is_told(cli, clouds):
    found = json.loads(cli("check", "noisy.ply", "shrunk.ply", "--json").out)
    assert found["removed"]["directions"]["normal"]["shifted"] == 1
    assert any("outside the denoised ones: the surface shrank" in words for words in found["findings"])
    assert any("not about zero in 31 of 31" in words for words in found["findings"])


def test_the_clean_cloud_tells_what_the_noise_was(cli, clouds):
    result = cli("check", "noisy.ply", "shrunk.ply", "--clean", "clean.ply")
    assert result.code == 0
    assert "removed: noisy - denoised" in result.out
    assert "noise: noisy - clean" in result.out
    assert "The noise itself (noisy - clean) is not Gaussian in 0 of 31" in " ".join(result.out.split())
    found = json.loads(cli("check", "noisy.ply", "shrunk.ply", "--clean", "clean.ply", "--json").out)
    assert found["noise"]["directions"]["normal"]["shifted"] == 0
    assert found["clean"] == "clean.ply"


def test_points_that_stay_are_counted(cli, clouds, sphere):
    points = 0.03 * np.random.default_rng(1).standard_normal((2000, 3)) + sphere[:2000]
    moved = sphere[:2000].copy()
    moved[:700] = points[:700]
    for name, rows in {"n": points, "d": moved}.items():
        write(PointCloud(rows), clouds / f"{name}.ply")
    found = json.loads(cli("check", "n.ply", "d.ply", "--json").out, parse_constant=pytest.fail)
    assert found["unmoved"] == 700
    assert found["removed"]["directions"]["normal"]["tested"] < 31
    assert any("700 points did not move" in words for words in found["findings"])


def test_a_picture(cli, clouds, refused):
    assert cli("check", "noisy.ply", "denoised.ply", "--render", "check.png").code == 0
    assert (clouds / "check.png").read_bytes().startswith(b"\x89PNG")
    refused(4, ["check.png exists", "--overwrite"], "check", "noisy.ply", "denoised.ply", "--render", "check.png")
    assert cli("check", "noisy.ply", "denoised.ply", "--render", "check.png", "--overwrite").code == 0
    refused(4, "end it in .png", "check", "noisy.ply", "denoised.ply", "--render", "check.jpg")


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (2, ["NOISY, DENOISED", "see pcdenoise check --help"], []),
        (2, ["neighbours is 7", "from 8"], ["noisy.ply", "denoised.ply", "--neighbours", 7]),
        (2, ["alpha is 1.0", "between 0 and 1"], ["noisy.ply", "denoised.ply", "--alpha", 1]),
        (2, ["alpha is nan"], ["noisy.ply", "denoised.ply", "--alpha", "nan"]),
        (2, ["seed is -1"], ["noisy.ply", "denoised.ply", "--seed", -1]),
        (2, ["'x=1'"], ["noisy.ply", "denoised.ply", "x=1"]),
        (3, ["nowhere.ply does not exist"], ["noisy.ply", "nowhere.ply"]),
        (3, ["noisy.ply has 2,000 points and few.ply has 90", "row i"], ["noisy.ply", "few.ply"]),
        (3, ["few.ply has 90", "row i"], ["noisy.ply", "denoised.ply", "--clean", "few.ply"]),
        (3, ["nothing moved", "same points"], ["noisy.ply", "noisy.ply"]),
        (3, ["moved as a whole"], ["few.ply", "beside.ply"]),
        (3, ["90 points are fewer than two neighbourhoods of 64"], ["few.ply", "other.ply"]),
        (3, ["no row is finite in each of few.ply, empty.ply"], ["few.ply", "empty.ply"]),
    ],
)
def test_mistakes(code, words, arguments, clouds, sphere, refused):
    rng = np.random.default_rng(0)
    few = sphere[:90]
    for name, points in {"few": few, "beside": few + 100, "other": few + rng.normal(size=few.shape)}.items():
        write(PointCloud(points), clouds / f"{name}.ply")
    write(PointCloud(np.full((90, 3), np.nan)), clouds / "empty.ply")
    refused(code, words, "check", *arguments)


def test_help_loads_nothing_heavy(run):
    heavy = ("torch", "numpy", "scipy", "numba", "rich", "matplotlib")
    script = f"""
import sys
from pcdenoise.cli.main import main
try:
    main(["check", "--help"])
except SystemExit as done:
    print("code", done.code, [name for name in {heavy} if name in sys.modules])
"""
    result = run(script=script)
    assert result.err == ""
    assert "NOISY DENOISED" in result.out
    assert result.out.endswith("code 0 []\n")
