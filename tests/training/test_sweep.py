import csv
import json
from pathlib import Path

import pytest

from pcdenoise.errors import UsageError
from pcdenoise.training.sweep import jobs_of, sweep


def test_every_combination_in_the_order_of_the_words():
    jobs = jobs_of(["trainer.learning_rate=1e-3,2e-3", "seed=7", "loss=dsm,ncsn", "output=runs/x"])
    assert [job.name for job in jobs] == [
        "loss=dsm,trainer.learning_rate=0.001",
        "loss=ncsn,trainer.learning_rate=0.001",
        "loss=dsm,trainer.learning_rate=0.002",
        "loss=ncsn,trainer.learning_rate=0.002",
    ]
    assert jobs[3].folder == Path("runs/x/loss=ncsn,trainer.learning_rate=0.002")
    assert jobs[3].config["trainer"]["learning_rate"] == 0.002
    assert jobs[3].config["loss"]["_target_"].endswith("NCSN")
    assert {job.config["seed"] for job in jobs} == {7}


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("trainer.max_steps=range(1,4)", ["1", "2", "3"]),
        ("trainer.memory=choice(normal,low)", ["normal", "low"]),
        ("loss=glob(*_dsm)", ["paired_dsm"]),
        ("network.blocks=[4],[3,2]", ["[4]", "[3,2]"]),
    ],
)
def test_the_grammar_is_hydras(word, values):
    key = word.partition("=")[0]
    assert [job.values[key] for job in jobs_of([word])] == values


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["seed=1"], "nothing to sweep; give a key several values"),
        (["loss=dsm,nonsense"], "nonsense"),
        (["seed=1,1"], "two runs of the sweep would write to runs/train/seed=1"),
        (["seed=interval(0,1)"], "sweep cannot be read"),
        (["seed=1,(2"], "sweep cannot be read"),
    ],
)
def test_what_is_no_sweep_is_refused(words, facts):
    with pytest.raises(UsageError, match=facts):
        jobs_of(words)


def test_a_run_that_fails_does_not_stop_the_others(tmp_path):
    def train(config):
        if config["seed"] == 2:
            raise UsageError("two is no seed")
        if config["seed"] == 3:
            raise RuntimeError("three")
        folder = Path(config["output"])
        folder.mkdir(parents=True)
        figures = {"validation": {"score": config["seed"] / 8, "step": 100}}
        (folder / "best.json").write_text(json.dumps(figures))
        return folder / "best.safetensors"

    results, table = sweep(jobs_of(["seed=1,2,3,4", f"output={tmp_path / 'all'}"]), train)
    assert [(r.score, r.step, r.error) for r in results] == [
        (0.125, 100, ""),
        (None, None, "two is no seed"),
        (None, None, "unforeseen RuntimeError: three"),
        (0.5, 100, ""),
    ]
    assert table == tmp_path / "all" / "sweep.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["score"] for row in rows] == ["0.125", "", "", "0.5"]
    assert rows[0]["folder"] == str(tmp_path / "all" / "seed=1")
    assert rows[1]["error"] == "two is no seed"
