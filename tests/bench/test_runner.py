import json
import math
from pathlib import Path

import numpy as np
import pytest

from pcdenoise.bench.log import Log
from pcdenoise.bench.memory import resident_growth
from pcdenoise.bench.runner import run
from pcdenoise.errors import InputError, UsageError
from pcdenoise.metrics.table import METRICS


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "runs" / "cells.jsonl")


def test_each_method_runs_once_on_each_cloud(scenes, towards, entrant, log):
    method = towards()
    records = run(scenes, [entrant("mine", method)], log, "1.0")
    assert len(records) == len(scenes) == len(method.calls) == 4
    assert [(r.shape, r.level) for r in records] == [("ball", 0.01), ("flat", 0.01), ("ball", 0.03), ("flat", 0.03)]
    assert all(r.metrics["chamfer"] > 0 and not r.error and r.lost == 0 for r in records)
    # blind, without the mesh
    assert method.calls == [(None, False, 0)] * 4
    # the ball is the oracle's own: on it, a point is as good as projected
    assert records[2].metrics["point_to_face"] < 0.1 * records[3].metrics["point_to_face"]


def test_what_is_told_is_the_noise(scenes, towards, entrant, log):
    method = towards()
    records = run(scenes, [entrant("mine", method, told=True)], log, "1.0")
    for (told, _, _), scene, record in zip(method.calls, scenes, records, strict=True):
        assert told == pytest.approx(scene.condition.level, rel=0.1)
        assert told == pytest.approx(np.sqrt(np.mean((scene.noisy - scene.clean) ** 2)))
        assert record.method == "mine (told)"


def test_goes_on_where_it_was_interrupted(scenes, towards, entrant, log):
    class Interrupted(towards):
        def __call__(self, *arguments):
            if len(self.calls) == 3:
                raise KeyboardInterrupt
            return super().__call__(*arguments)

    with pytest.raises(KeyboardInterrupt):
        run(scenes, [entrant("mine", Interrupted())], log, "1.0")
    assert len(log.path.read_text().splitlines()) == 3
    again = towards()
    records = run(scenes, [entrant("mine", again)], log, "1.0")
    assert len(again.calls) == 1
    third = towards()
    assert run(scenes, [entrant("mine", third)], log, "1.0") == records
    assert third.calls == []


def test_some_metrics_alone(scenes, towards, entrant, log):
    some = [metric for metric in METRICS if metric.name in ("chamfer", "f_score")]
    records = run(scenes, [entrant("mine", towards())], log, "1.0", some)
    assert all(set(record.metrics) == {"chamfer", "f_score"} for record in records)
    again = towards()
    whole = run(scenes, [entrant("mine", again)], log, "1.0")
    assert len(again.calls) == 4  # what lacks the other metrics does not stand for them
    assert [record.metrics["chamfer"] for record in whole] == [record.metrics["chamfer"] for record in records]


def test_a_torn_last_line_is_dropped(scenes, towards, entrant, log):
    run(scenes[:2], [entrant("mine", towards())], log, "1.0")
    whole = log.path.read_text()
    log.path.write_text(whole[:-40])
    again = towards()
    run(scenes[:2], [entrant("mine", again)], log, "1.0")
    assert len(again.calls) == 1
    assert [json.loads(line)["key"] for line in log.path.read_text().splitlines()] == [
        json.loads(line)["key"] for line in whole.splitlines()
    ]


def test_any_other_damage_is_said(scenes, towards, entrant, log):
    run(scenes[:2], [entrant("mine", towards())], log, "1.0")
    log.path.write_text(log.path.read_text().replace('"shape"', '"form"', 1))
    with pytest.raises(InputError, match=r"line 1 of .*cells.jsonl is damaged"):
        log.read()


def test_another_configuration_runs_its_own_cells_again(scenes, towards, entrant, log):
    first, second = towards(), towards()
    run(scenes, [entrant("a", first), entrant("b", second)], log, "1.0")
    changed, same = towards(), towards()
    run(scenes, [entrant("a", changed, config={"share": 2}), entrant("b", same)], log, "1.0")
    assert (len(changed.calls), len(same.calls)) == (4, 0)


def test_other_data_are_run_again(scenes, ball, towards, entrant, log):
    from dataclasses import replace

    run(scenes, [entrant("mine", towards())], log, "1.0")
    again = towards()
    moved = [replace(scene, noisy=scene.noisy + 1e-6) for scene in scenes]
    run(moved, [entrant("mine", again)], log, "1.0")
    assert len(again.calls) == 4


def test_a_cell_that_fails_says_why_and_stops_nothing(scenes, towards, entrant, log):
    class Failing(towards):
        broken = True

        def __call__(self, points, *arguments):
            if self.broken and abs(points[:, 2]).max() < 0.5:
                raise ZeroDivisionError("in the\nmiddle")
            return super().__call__(points, *arguments)

    method, other = Failing(), towards()
    records = run(scenes, [entrant("bad", method), entrant("good", other)], log, "1.0")
    assert [r.error for r in records if r.method == "bad"] == ["", "ZeroDivisionError: in the middle"] * 2
    assert len(other.calls) == 4
    assert all(math.isnan(r.value("chamfer")) and math.isnan(r.value("seconds")) for r in records if r.error)
    # once it is mended, it gets another chance
    mended = Failing()
    mended.broken = False
    assert not any(r.error for r in run(scenes, [entrant("bad", mended)], log, "1.0"))
    assert len(mended.calls) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda points: points[:-1], "119 points, the noisy cloud 120"),
        (lambda points: 1000 * points, "1,000 times as large"),
        (lambda points: points + 100, "radii away"),
        (lambda points: points[:0], "0 points"),
        (lambda points: np.full_like(points, np.nan), "no finite point"),
    ],
)
def test_results_that_are_none(wrong, words, scenes, towards, entrant, log):
    class Wrong(towards):
        def __call__(self, points, *arguments):
            return wrong(points)

    (record,) = run(scenes[:1], [entrant("wrong", Wrong())], log, "1.0")
    assert words in record.error
    assert record.metrics == {}


def test_a_result_with_nan_has_no_numbers(scenes, towards, entrant, log):
    class Lossy(towards):
        def __call__(self, points, *arguments):
            moved = super().__call__(points, *arguments)
            moved[:3] = np.nan
            return moved

    (record,) = run(scenes[:1], [entrant("lossy", Lossy())], log, "1.0")
    assert (record.lost, record.error, record.is_lost) == (3, "", True)
    assert all(map(math.isnan, record.metrics.values()))
    (read,) = log.read().values()
    assert math.isnan(read.value("chamfer"))


def test_results_are_kept_where_asked(scenes, towards, entrant, log, tmp_path):
    def keep(scene):
        return tmp_path / "clouds" if scene.shape == "flat" else None

    records = run(scenes, [entrant("mine", towards(share=0.0))], log, "1.0", keep=keep)
    kept = {path.stem for path in (tmp_path / "clouds").iterdir()}
    assert kept == {record.key for record in records if record.shape == "flat"}
    np.testing.assert_allclose(np.load(tmp_path / "clouds" / f"{records[1].key}.npy"), scenes[1].noisy, atol=1e-6)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which tells the resident set")
def test_memory_is_what_a_computation_takes():
    with resident_growth() as small:
        np.ones(1000)
    with resident_growth() as large:
        np.ones(4 << 20)  # 32 MiB, given back at once
    assert small.bytes < 4 << 20
    assert 31 << 20 <= large.bytes < 48 << 20


def test_an_error_of_ours_keeps_its_words(scenes, towards, entrant, log):
    class Missing(towards):
        def __call__(self, *arguments):
            raise UsageError("CGAL is not installed; pip install 'pcdenoise[baselines]'")

    (record,) = run(scenes[:1], [entrant("missing", Missing())], log, "1.0")
    assert record.error == "CGAL is not installed; pip install 'pcdenoise[baselines]'"
