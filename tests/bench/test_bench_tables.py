"""From records to text, on numbers small enough to check by hand."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser

import pytest

from pcdenoise.bench.entrants import FLOOR, Entrant
from pcdenoise.bench.formats import cell_rows, csv_text, escaped, latex, markdown, summary_rows
from pcdenoise.bench.log import Record
from pcdenoise.bench.page import Page, Picture
from pcdenoise.bench.plots import error_against_noise, error_against_time, svg
from pcdenoise.bench.published import published_results
from pcdenoise.bench.scenes import Condition
from pcdenoise.bench.summary import Results, check_columns
from pcdenoise.errors import UsageError

LEVELS = (0.01, 0.02)
CONDITIONS = [Condition(10_000, "gaussian", level) for level in LEVELS]


def record(method, shape, level, chamfer, **changes):
    values = {
        "key": f"{method}{shape}{level}", "method": method, "shape": shape, "resolution": 10_000, "noise": "gaussian",
        "level": level, "seed": 0, "points": 10_000, "lost": 0, "error": "", "seconds": 0.5, "peak_memory": 3 << 20,
        "sigma": level, "metrics": {"chamfer": chamfer}, "version": "1", "finished": "",
    }  # fmt: skip
    return Record(**values | changes)


@pytest.fixture
def entrants(towards):
    names = ["a_b", "jet"]
    return [Entrant.of("projection", {}, FLOOR["projection"])] + [Entrant.of(n, {"n": n}, towards()) for n in names]


@pytest.fixture
def records():
    numbers = {
        ("projection", 0.01): (0.5, 0.7), ("projection", 0.02): (1, 1),
        ("a_b", 0.01): (1.0, 2.0), ("a_b", 0.02): (2.0, 4.0),
        ("jet", 0.01): (1.5, 2.5), ("jet", 0.02): (1.5, 3.5),
    }  # fmt: skip
    return [record(m, s, level, x) for (m, level), xs in numbers.items() for s, x in zip("xy", xs, strict=True)]


@pytest.fixture
def results(records, entrants):
    return Results(records, entrants, CONDITIONS, baseline="a_b")


def test_markdown(results):
    assert markdown([results.table("chamfer")], ["A note."]) == (
        "**chamfer (1e-4 R^2, lower is better)**\n\n"
        "| | 10K gaussian 1 % | 10K gaussian 2 % |\n|---|---:|---:|\n"
        "| *2 shapes* | | |\n"
        "| a_b | **1.500** | 3.000 |\n"
        "| jet | 2.000 | **2.500** |\n"
        "| *floor, 2 shapes* | | |\n"
        "| projection | 0.600 | 1.000 |\n"
        "\nA note.\n"
    )


def test_latex(results):
    assert latex([results.table("chamfer")], ["A note."]) == (
        "% A note.\n\\begin{tabular}{lrr}\n\\toprule\n"
        "chamfer (1e-4 R\\textasciicircum{}2, lower is better) & 10K gaussian 1 \\% & 10K gaussian 2 \\% \\\\\n"
        "\\midrule\n\\multicolumn{3}{l}{\\emph{2 shapes}} \\\\\n"
        "a\\_b & \\textbf{1.500} & 3.000 \\\\\njet & 2.000 & \\textbf{2.500} \\\\\n"
        "\\midrule\n\\multicolumn{3}{l}{\\emph{floor, 2 shapes}} \\\\\nprojection & 0.600 & 1.000 \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )
    assert escaped(r"50 % of $a_{b}$ & ~\x") == r"50 \% of \$a\_\{b\}\$ \& \textasciitilde{}\textbackslash{}x"


def test_differences_are_those_of_the_same_shape(results):
    lines = markdown([results.difference_table("chamfer")]).splitlines()
    assert "| jet | +0.500 [+0.500, +0.500] | -0.500 [-0.500, -0.500] |" in lines
    assert not any(line.startswith("| a_b |") for line in lines)


def test_csv(results):
    rows = list(csv.DictReader(io.StringIO(csv_text(summary_rows(results, ["chamfer"])))))
    (row,) = [row for row in rows if (row["metric"], row["method"], row["level"]) == ("chamfer", "jet", "0.02")]
    assert row == {
        "metric": "chamfer", "group": "2 shapes", "method": "jet", "resolution": "10000", "noise": "gaussian",
        "level": "0.02", "mean": "2.5", "shapes": "2", "lost": "0", "baseline": "a_b",
        "difference": "-0.5", "low": "-0.5", "high": "-0.5",
    }  # fmt: skip
    cells = list(csv.DictReader(io.StringIO(csv_text(cell_rows(results.records)))))
    assert len(cells) == 12
    assert cells[2]["chamfer"] == "1"
    assert cells[2]["p2m"] == ""


@pytest.mark.parametrize("change", [{"error": "broke"}, {"lost": 3, "metrics": {"chamfer": math.nan}}])
def test_a_mean_over_a_lost_cell_is_lost(change, records, entrants):
    """It is marked and counted; neither the rest nor the difference from it is averaged."""
    lost = [record("jet", "y", 0.02, 0.0, **{"metrics": {}} | change) if r.key == "jety0.02" else r for r in records]
    results = Results(lost, entrants, CONDITIONS, baseline="a_b")
    lines = markdown([results.table("chamfer"), results.table("seconds")]).splitlines()
    assert "| jet | 2.000 | lost (1) |" in lines
    assert "| jet | **0.50** | lost (1) |" in lines
    assert "| a_b | **1.500** | 3.000 |" in lines
    assert "| jet | +0.500 [+0.500, +0.500] | lost |" in markdown([results.difference_table("chamfer")]).splitlines()
    assert [r.key for r in results.failures] == ["jety0.02"]
    (row,) = [
        r for r in summary_rows(results, []) if (r["metric"], r["method"], r["level"]) == ("chamfer", "jet", 0.02)
    ]
    assert math.isnan(row["mean"])
    assert row["lost"] == 1


def test_shapes_apart(records, entrants):
    groups = Results(records, entrants, CONDITIONS, apart=["y", "absent"]).groups
    assert groups == {"2 shapes": ["x", "y"], "1 shape, without y": ["x"]}
    lines = markdown([Results(records, entrants, CONDITIONS, apart=["y"]).table("chamfer")]).splitlines()
    assert "| jet | 1.500 | **1.500** |" in lines


def test_seeds_of_a_shape_count_as_one_shape(entrants):
    cells = [record("jet", "x", 0.01, value, seed=seed) for seed, value in enumerate((1, 2, 6))]
    cells.append(record("jet", "y", 0.01, 1))
    value = Results(cells, entrants, CONDITIONS).value("jet", CONDITIONS[0], "chamfer", ["x", "y"])
    assert (value.number, value.shapes) == (2, 2)


def test_what_does_not_exist(records, entrants):
    with pytest.raises(UsageError, match="choose from projection, a_b, jet"):
        Results(records, entrants, CONDITIONS, baseline="nobody")
    with pytest.raises(UsageError, match=r"no metric 'nonsense'; choose columns from chamfer, p2m, .* seconds"):
        check_columns(["chamfer", "nonsense"])


class TestPublished:
    def test_every_row_has_its_family_and_status(self):
        rows = published_results()
        assert len(rows) == 127
        assert {(row.family, row.status) for row in rows} == {(f, s) for f in "AB" for s in ("recalled", "transcribed")}
        (row,) = [r for r in rows if (r.method, r.points, r.noise, r.family) == ("Score-Denoise", 10_000, 0.02, "A")]
        assert (row.cd, row.p2m, row.status, row.dataset) == (3.686, 1.074, "recalled", "PU-Net")
        assert any(row.p2m is None for row in rows)

    def test_families_never_share_a_block_or_a_table_of_p2m(self, results):
        for column, families in {"p2m": ["A"], "p2m_family_b": ["B"], "chamfer": ["A", "B"], "hausdorff": []}.items():
            blocks = [b for b in results.table(column, published_results()).blocks if "published" in b.title]
            assert [block.title for block in blocks] == [f"published, family {family}" for family in families]
        ours, _, family_a, family_b = results.table("chamfer", published_results()).blocks
        first, second = ({row.name: row.values for row in block.rows} for block in (family_a, family_b))
        assert [v.number for v in first["PointCleanNet"]] == [3.515, 7.467]
        assert [v.number for v in second["PointCleanNet"]] == [3.686, 7.926]
        assert [(v.mark, w.mark) for v, w in [first["Score-Denoise"], first["PD-Flow"]]] == [("†", "†"), ("", "")]
        assert not {row.name for row in ours.rows} & first.keys()

    def test_only_under_the_same_condition(self, records, entrants):
        for other in (Condition(10_000, "laplace", 0.01), Condition(5000, "gaussian", 0.01)):
            assert not any(result.at(other) for result in published_results())


class Tags(HTMLParser):
    """Checks that what is opened is closed, and collects where things come from."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.words = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value for key, value in attributes if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_page_holds_everything_and_loads_nothing(results, entrants):
    page = Page(
        title="a < b",
        notes=["A note & more."],
        tables=[results.table("chamfer", published_results())],
        differences=[results.difference_table("chamfer")],
        shape_tables=[results.shape_table("chamfer", CONDITIONS[0])],
        plots={"time": svg(error_against_time(results)), "noise": svg(error_against_noise(results))},
        pictures=[Picture("x", "jet", b"png")],
        without_pictures="none",
        failures=[record("jet", "x", 0.01, 1, error="<broke>")],
        facts={"python": "3"},
        methods={"jet": "a method"},
    )
    found = Tags(page.html())
    assert found.open == []
    assert all(source.startswith("data:image/") for source in found.sources)
    assert len(found.sources) == 3
    text = " ".join(found.words)
    for words in ("a < b", "A note & more.", "<broke>", "Score-Denoise", "floor, 2 shapes"):
        assert words in text
    # what is sorted is the number, not what is printed
    assert 'data-value="1.5">1.500<' in page.html()


def test_plots_show_every_method_that_has_a_mean(results, entrants, records):
    for figure in (error_against_time(results), error_against_noise(results)):
        text = svg(figure)
        assert all(f">{name}<" in text for name in ("a_b", "jet", "projection"))
    lost = [record(r.method, r.shape, r.level, 1, error="broke") if r.method == "jet" else r for r in records]
    axes = error_against_time(Results(lost, entrants, CONDITIONS)).axes[0]
    assert [line.get_label() for line in axes.lines] == ["a_b", "projection"]
    one = [r for r in records if r.level == 0.01]
    assert error_against_noise(Results(one, entrants, CONDITIONS[:1])) is None


def test_json_of_a_record_is_read_again(tmp_path):
    from pcdenoise.bench.log import Log

    written = record("jet", "x", 0.01, math.nan, lost=1)
    log = Log(tmp_path / "cells.jsonl")
    log.append(written)
    assert "NaN" not in log.path.read_text()
    json.loads(log.path.read_text())
    (read,) = log.read().values()
    assert re.sub("nan", "", repr(read)) == re.sub("nan", "", repr(written))
