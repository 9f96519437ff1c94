import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.stats import norm

from pcdenoise.datasets.noise_models import AnisotropicGaussian, Discrete, Gaussian, Laplace, UniformBall
from pcdenoise.datasets.surfaces import sample_surface
from pcdenoise.denoisers.baselines.identity import Identity
from pcdenoise.errors import InputError
from pcdenoise.geometry.noise import spacing

TOOL = Path(__file__).parents[2] / "tools" / "measure_robustness.py"


class Scaled(Identity):
    """Shrinks or swells about the origin."""

    factor = 0.99

    def __call__(self, points, sigma=None, mesh=None, seed=0):
        return self.factor * points


class Broken(Identity):
    """Refuses every cloud."""

    def __call__(self, points, sigma=None, mesh=None, seed=0):
        raise InputError("too hard")


class Lost(Identity):
    """Loses one row."""

    def __call__(self, points, sigma=None, mesh=None, seed=0):
        return np.where(np.arange(len(points))[:, None] == 3, np.nan, points)


@pytest.fixture(scope="module")
def surfaces():
    rng = np.random.default_rng(0)
    meshes = {"ball": trimesh.creation.icosphere(subdivisions=4), "box": trimesh.creation.box((1.0, 0.8, 0.6))}
    return [sample_surface(name, m.vertices, m.faces, [600, 1200], rng, True) for name, m in meshes.items()]


@pytest.fixture
def setting(tool, surfaces):
    return tool.Setting(surfaces, [600], {"identity": Identity(), "shrunk": Scaled()}, {"nothing": Identity()})


# Plates


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize(("thickness", "noise"), [(4, 1.0), (4, 0.5), (2, 0.75)])
def test_noise_alone_merges_the_share_of_a_normal_tail(tool, thickness, noise, closed):
    rng = np.random.default_rng(1)
    clean, sheet = tool.thin_box(thickness, rng, closed=closed)
    found = tool.merged_shares(clean + noise * rng.standard_normal(clean.shape), sheet, thickness)
    expected = norm.cdf([-thickness / 4 / noise, -thickness / 2 / noise])
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(expected.max() / (sheet != 0).sum()))


@pytest.mark.parametrize("closed", [False, True])
def test_points_at_their_own_plate_are_not_merged_and_at_the_other_all_are(tool, closed):
    clean, sheet = tool.thin_box(4, np.random.default_rng(2), closed=closed)
    assert tool.merged_shares(clean, sheet, 4) == (0, 0)
    assert tool.merged_shares(-clean, sheet, 4) == (1, 1)
    assert tool.merged_shares(clean * [1, 1, 0.51], sheet, 4) == (0, 0)
    assert tool.merged_shares(clean * [1, 1, 0.49], sheet, 4) == (1, 0)
    assert tool.merged_shares(clean * [1, 1, -0.49], sheet, 4) == (1, 1)


def test_plates_have_one_point_per_unit_of_area(tool):
    for closed, area in ((False, 2 * 70**2), (True, 2 * 70**2 + 4 * 4 * 70)):
        clean, sheet = tool.thin_box(4, np.random.default_rng(3), closed=closed)
        assert len(clean) == area
        upper = clean[sheet == 1]
        assert len(upper) == pytest.approx((tool.SIDE - 2 * tool.RIM) ** 2, rel=0.03)
        np.testing.assert_allclose(upper[:, 2], 2)
        np.testing.assert_allclose(clean[sheet == -1, 2], -2)
        assert spacing(clean) == pytest.approx(1.04, abs=0.03)
        assert (np.abs(clean[:, 2]) < 1.9).any() == closed


def test_a_plate_s_bar_is_what_the_noise_carried_across(tool, setting, monkeypatch):
    monkeypatch.setattr(tool, "SIDE", 24)
    monkeypatch.setattr(tool, "THICKNESSES", (2, 4))
    monkeypatch.setattr(tool, "PLATE_NOISES", (1.0,))
    rows = tool.plates(setting)
    assert [row.bar is None for row in rows] == [True, True, False, False] * 2
    for merged, wrong in zip(rows[2::4], rows[3::4], strict=True):
        assert merged.bar == wrong.bar == wrong.mean("input") > 0
        assert wrong.passed("identity")
        assert not merged.passed("identity")
        assert merged.mean("identity") > wrong.mean("identity")


# Density, noise


def test_density_rises_four_times_along_x(tool):
    rng = np.random.default_rng(4)
    points = rng.uniform(-1, 1, (200_000, 3))
    kept = points[tool.thinned_along_x(points, rng)]
    share = np.histogram(kept[:, 0], 10, (-1, 1))[0] / np.histogram(points[:, 0], 10, (-1, 1))[0]
    slope, offset = np.polyfit(np.linspace(-0.9, 0.9, 10), share, 1)
    assert (offset + slope) / (offset - slope) == pytest.approx(4, rel=0.03)
    assert share.max() < 1
    np.testing.assert_allclose(share, offset + slope * np.linspace(-0.9, 0.9, 10), atol=0.015)


@pytest.mark.parametrize(
    "model",
    [Gaussian(0.02), AnisotropicGaussian(0.02), Laplace(0.02), UniformBall(0.02), Discrete(0.02), Discrete(0.02, 0.05)],
)
def test_equivalent_sigma_is_that_of_the_moves(tool, model):
    points = np.zeros((200_000, 3))
    points[0], points[1] = -1, 1
    radius = 3**0.5
    moves = model(points, np.random.default_rng(5)) - points
    assert tool.equivalent_sigma(model) * radius == pytest.approx(np.sqrt(np.mean(moves**2)), rel=0.01)


# Rows


def test_the_worst_shape_or_the_mean_is_held_to_the_bar(tool):
    row = tool.Row("case", "ratio", {"a": {"one": 1.0, "two": 1.1}, "b": {"one": -1.2, "two": 0.0}}, 1.05)
    assert row.worst("a") == ("two", 1.1)
    assert row.mean("a") == pytest.approx(1.05)
    assert (row.passed("a"), row.passed("b")) == (False, False)
    mean = replace(row, judged="mean", bar=1.06)
    assert (mean.passed("a"), mean.passed("b")) == (True, True)
    assert replace(row, bar=None).passed("a") is None
    assert "MISS" in row.cell("a")
    assert "1.100 two" in row.cell("a")
    assert "ok" in mean.cell("a")


def test_what_is_lost_misses(tool):
    row = tool.Row("case", "ratio", {"a": {"one": 1.0, "two": math.nan}}, 1.05)
    assert row.worst("a")[0] == "two"
    assert row.passed("a") is False
    assert replace(row, judged="mean").passed("a") is False


# Sections


def test_harm_of_nothing_is_one_and_of_shrinking_above(tool, setting):
    rows = tool.harm(setting)
    assert len(rows) == 2 + 2 * len(tool.FAINT)
    assert rows[0].values["identity"] == {"ball": 0.0, "box": 0.0}  # a clean cloud is at no distance from itself
    assert rows[0].mean("shrunk") > 0
    for row in rows[1:]:
        assert row.values["identity"] == {"ball": 1.0, "box": 1.0}
        assert row.passed("identity")
    assert rows[2].mean("shrunk") > 1.1
    assert not rows[2].passed("shrunk")


def test_bias_of_a_shrunk_sphere_is_known(tool, setting):
    rows = {row.case: row for row in tool.signed_bias(setting)}
    assert list(rows) == ["0.6K, 1%", "0.6K, 2%", "0.6K, 3%", "sphere 0.6K, 1%", "sphere 0.6K, 2%", "sphere 0.6K, 3%"]
    for level in (0.01, 0.02, 0.03):
        row = rows[f"sphere 0.6K, {level:.0%}"]
        margin = 4 / np.sqrt(600)
        assert row.mean("identity") == pytest.approx(level, abs=margin)
        assert row.mean("shrunk") == pytest.approx(((1 + level**2) * 0.99 - 1) / level, abs=margin)
        ball = rows[f"0.6K, {level:.0%}"].values["shrunk"]["ball"]
        assert ball == pytest.approx(((1 + level**2) * 0.99 - 1) / level, abs=margin)
    assert not rows["sphere 0.6K, 1%"].passed("shrunk")
    assert rows["0.6K, 1%"].passed("input") is None


def test_other_noise_is_compared_at_its_level_and_at_its_variance(tool, setting):
    rows = {(row.case, row.quantity): row for row in tool.other_noise(setting)}
    level, variance = (f"CD / Gaussian of same {what}" for what in ("level", "variance"))
    assert len(rows) == 3 * (1 + 2 * 3)  # the level of anisotropic noise is its deviation
    laplace, ball = ((f"0.6K, {kind} 3%", level) for kind in ("Laplace", "uniform ball"))
    assert rows[laplace].mean("input") > 1.2
    assert rows[ball].mean("input") < 0.8
    for kind in ("Laplace", "uniform ball"):
        assert rows[f"0.6K, {kind} 3%", variance].mean("input") == pytest.approx(1, abs=0.15)
    assert ("0.6K, anisotropic 3%", "CD / Gaussian of same level and variance") in rows


def test_edges_are_compared_with_the_smooth_areas_of_the_best_baseline(tool, setting):
    worse = tool.Setting(setting.surfaces, [600], setting.methods, {"bad": Scaled(), "nothing": Identity()})
    rows = tool.edges(worse)
    assert len(rows) == 6
    for own, against in zip(rows[::2], rows[1::2], strict=True):
        assert own.bar is None
        assert own.values["identity"].keys() == {"box"}  # a ball has no edge
        assert against.values["identity"] == own.values["identity"]
        assert against.values["shrunk"]["box"] > own.values["shrunk"]["box"]
    alone = tool.edges(tool.Setting(setting.surfaces, [600], setting.methods, {}))
    assert [row.quantity for row in alone] == ["edge / own smooth"] * 3


@pytest.mark.parametrize(("section", "cases"), [("scanner", 2), ("density", 2), ("counts", 4)])
def test_nothing_keeps_the_error_of_the_input(tool, surfaces, monkeypatch, section, cases):
    monkeypatch.setattr(tool, "LEVELS", (0.01, 0.02))
    monkeypatch.setattr(tool, "FEW", 300)
    monkeypatch.setattr(tool, "MANY", 900)
    monkeypatch.setattr(tool, "SHAPES_OF_MANY", 1)
    rows = tool.SECTIONS[section](tool.Setting(surfaces, [600], {"identity": Identity()}, {}))
    assert len({row.case for row in rows}) == cases
    for row in rows:
        if row.bar:
            assert set(row.values["identity"].values()) == {1.0}
    if section == "scanner":
        projected = [row.values["identity"] for row in rows if row.quantity == "CD / exact projection's"]
        assert len(projected) == 2
        assert min(value for row in projected for value in row.values()) > 0.5
    if section == "density":
        assert rows[1].mean("input") == pytest.approx(1, abs=0.02)  # noise below the spacing does not see density
        assert rows[2].mean("input") == pytest.approx(1, abs=0.3)  # 1 % on few points
    if section == "counts":
        assert [list(row.values["identity"]) for row in rows] == [["ball", "box"]] * 2 + [["ball"]] * 2


@pytest.mark.parametrize("method", [Broken(), Lost()])
@pytest.mark.filterwarnings("ignore:bad on ball")
def test_a_method_that_fails_does_not_stop_the_others(tool, surfaces, monkeypatch, method):
    monkeypatch.setattr(tool, "LEVELS", (0.02, 0.02))
    rows = tool.density(tool.Setting(surfaces[:1], [600], {"bad": method, "identity": Identity()}, {}))
    assert math.isnan(rows[0].mean("bad"))
    assert rows[0].passed("bad") is False
    assert rows[0].passed("identity")


# The command


@pytest.fixture
def meshes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "meshes"
    folder.mkdir()
    trimesh.creation.box((1.0, 0.8, 0.6)).export(folder / "box.off")
    return folder


def test_the_command_prints_and_writes(tool, meshes, monkeypatch, capsys):
    monkeypatch.setattr(tool, "SIDE", 24)
    monkeypatch.setattr(tool, "THICKNESSES", (4,))
    monkeypatch.setattr(tool, "PLATE_NOISES", (0.5,))
    monkeypatch.setattr(tool, "RESOLUTIONS", (100, 200))
    monkeypatch.setattr(tool, "FAINT", (0.2,))
    words = ["--model", "identity", "--meshes", str(meshes), "--sections", "plates", "harm", "--json", "found.json"]
    tool.main([*words, "--points", "100"])
    printed = capsys.readouterr().out
    assert "plates, 4 thick, noise 0.5" in printed
    assert "MISS" in printed
    report = json.loads(Path("found.json").read_text())
    assert report["shapes"] == ["box"]
    assert list(report["sections"]) == ["plates", "harm"]
    row = report["sections"]["harm"]["rows"][2]
    assert (row["case"], row["quantity"], row["bar"]) == ("0.1K, 0.2 spacings", "CD / input's", 1.02)
    assert row["methods"]["identity"]["passed"] is True
    assert row["methods"]["identity"]["by_shape"] == {"box": 1.0}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--model", "nonsense"], 2, "there is no method 'nonsense'"),
        (["--model", "projection"], 2, "needs the true mesh"),
        (["--model", "identity", "--meshes", "nowhere"], 3, "nowhere"),
        (["--model", "identity", "--json", "no/folder/found.json"], 4, "does not exist"),
        (["--model", "identity", "--shapes", "0"], 2, "give at least 1"),
    ],
)
def test_mistakes_are_one_line(tool, meshes, capsys, words, code, message):
    with pytest.raises(SystemExit) as ended:
        tool.main(["--meshes", str(meshes), *words])
    error = capsys.readouterr().err
    assert ended.value.code == code
    assert message in error
    assert error.count("\n") == 1
