import json

import pytest
import torch

from pcdenoise.checkpoint import load_checkpoint
from pcdenoise.errors import ModelError, OutputError, UsageError
from pcdenoise.training.session import BEST, LAST, Clock, Listener, Log, train

LENGTH = ["trainer.max_steps=5", "validation.every=3", "checkpoint_every=2"]


class Killed(Exception):
    pass


def kill_at(last):
    def step(progress, of):
        if progress.step == last:
            raise Killed

    return Listener(step=step)


def same_run(one, other, rows):
    """Weights, optimiser, and every logged figure that is not a time."""
    for name in (LAST, BEST):
        a, b = (load_checkpoint(folder / name)[0] for folder in (one, other))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    for name in ("steps.csv", "validation.csv"):
        a, b = (rows(folder / name) for folder in (one, other))
        times = {"waiting", "seconds", "cpu_seconds"}
        assert [{k: v for k, v in row.items() if k not in times} for row in a] == [
            {k: v for k, v in row.items() if k not in times} for row in b
        ]


@pytest.fixture(scope="module")
def whole(configured, tmp_path_factory):
    """A run that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    messages = []
    assert train(configured(folder, *LENGTH), Listener(message=messages.append)) == folder / BEST
    return folder, messages


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_a_run_killed_at_any_step_and_resumed_has_the_bits_of_the_whole(step, whole, configured, tmp_path, rows):
    with pytest.raises(Killed):
        train(configured(tmp_path / "cut", *LENGTH), kill_at(step))
    messages = []
    train(configured(tmp_path / "cut", *LENGTH, "resume=auto"), Listener(message=messages.append))
    saved = (step - 1) // 2 * 2  # it was killed before anything was written in that step
    assert (f"resumed at step {saved}" in messages) == (saved > 0)
    same_run(whole[0], tmp_path / "cut", rows)


def test_a_run_can_begin_with_weights(whole, configured, tmp_path):
    """What they have is taken, a stage that they lack is fresh, and what does not fit is named."""
    words = ["trainer.max_steps=1", "trainer.learning_rate=1e-30", f"start={whole[0] / BEST}"]
    weights, _ = load_checkpoint(whole[0] / BEST)
    best = train(configured(tmp_path / "same", *words))
    begun, header = load_checkpoint(best)
    assert all(torch.equal(begun[name], value) for name, value in weights.items())
    assert header["provenance"]["start"] == str(whole[0] / BEST)
    blocks = configured(tmp_path / "longer")["network"]["blocks"]
    longer = train(configured(tmp_path / "longer", *words, f"network.blocks={[*blocks, 1]}".replace(" ", "")))
    grown, _ = load_checkpoint(longer)
    assert grown.keys() > weights.keys()
    assert all(torch.equal(grown[name], value) for name, value in weights.items())
    with pytest.raises(ModelError, match="another architecture"):
        train(configured(tmp_path / "wider", *words, "network.channels=24"))
    with pytest.raises(ModelError, match="there is no model"):
        train(configured(tmp_path / "none", "start=nowhere"))


def test_a_loss_that_draws_resumes_to_the_bit(configured, tmp_path, rows):
    words = [word for word in LENGTH if "every" not in word] + ["checkpoint_every=2", "loss=sliced"]
    train(configured(tmp_path / "whole", *words))
    with pytest.raises(Killed):
        train(configured(tmp_path / "cut", *words), kill_at(3))
    train(configured(tmp_path / "cut", *words, "resume=auto"))
    same_run(tmp_path / "whole", tmp_path / "cut", rows)


def test_a_run_leaves_logs_weights_and_provenance(whole, rows):
    folder, _ = whole
    tensors, header = load_checkpoint(folder / BEST)
    assert header["network"]["channels"] == 16
    assert not any(name.startswith("optimizer") for name in tensors)
    provenance = json.loads((folder / BEST).with_suffix(".json").read_text())
    assert provenance == header["provenance"]
    assert provenance["steps"] in (3, 5)
    assert len(provenance["shapes"]) == 2
    assert provenance["processes"] == 1
    assert provenance["cpu_hours"] >= 0
    figures = rows(folder / "validation.csv")
    assert [row["step"] for row in figures] == ["3", "5"]
    assert {"cd_0.03", "jarque_bera_0.03", "score"} <= figures[0].keys()
    assert provenance["validation"]["score"] == min(float(row["score"]) for row in figures)
    assert list(folder.glob("events.out.tfevents.*"))


def test_time_is_logged(whole, rows):
    folder, messages = whole
    steps = rows(folder / "steps.csv")
    assert list(steps[0]) == [
        "step", "loss", "learning_rate", "stage_1", "stage_2", "waiting", "seconds", "cpu_seconds",
    ]  # fmt: skip
    for name in ("seconds", "cpu_seconds"):
        times = [float(row[name]) for row in steps]
        assert times[0] > 0
        assert times == sorted(times)
    assert all(0 <= float(row["waiting"]) <= 1 for row in steps)
    assert any(text.startswith("waited for data ") and text.endswith("% of the time") for text in messages)
    assert any(text.endswith("MB a patch of 256 points (trainer.memory=normal)") for text in messages)


def test_time_goes_on_where_it_stopped(configured, tmp_path, rows):
    for words in (["trainer.max_steps=1"], ["trainer.max_steps=2", "resume=auto"]):
        train(configured(tmp_path, *words))
    first, second = rows(tmp_path / "steps.csv")
    header = load_checkpoint(tmp_path / LAST)[1]
    for name, key in (("seconds", "hours"), ("cpu_seconds", "cpu_hours")):
        assert 0 < float(first[name]) < float(second[name]) <= 3600 * header["records"][key]


def test_the_clock_counts_from_what_was():
    seconds, cpu_seconds = Clock(2.0, 1.0).read()
    assert seconds == pytest.approx(7200, abs=5)
    assert cpu_seconds == pytest.approx(3600, abs=5)


def test_a_log_drops_what_comes_after_the_step(tmp_path, rows):
    log = Log(tmp_path / "log.csv", 0)
    for step in range(1, 13):
        log.write({"step": step, "loss": step / 7})
    Log(tmp_path / "log.csv", 10).write({"step": 11, "loss": 0.5})
    kept = rows(tmp_path / "log.csv")
    assert [row["step"] for row in kept] == [str(step) for step in range(1, 12)]
    assert [kept[0]["loss"], kept[-1]["loss"]] == [str(1 / 7), "0.5"]
    Log(tmp_path / "log.csv", 0)
    assert not list(tmp_path.iterdir())


def test_mistakes_are_refused(configured, tmp_path):
    train(configured(tmp_path / "run", "trainer.max_steps=1"))
    # from here on there is no data set to read
    for words, error, facts in (
        (["trainer.max_steps=2"], UsageError, "already holds a run; add resume=auto"),
        (["resume=auto", "network.channels=8"], ModelError, "another architecture: StagedDenoiser channels=16, and"),
        ([f"resume={tmp_path / 'run' / BEST}"], ModelError, "no training state"),
        (["resume=nowhere.safetensors"], ModelError, "there is no checkpoint nowhere.safetensors"),
        (["output=/dev/null/run"], OutputError, "choose another output"),
        (["device=tpu"], UsageError, "auto, cpu or cuda"),
    ):
        config = configured(tmp_path / "run", *words)
        config["dataset"] = {"_target_": "pcdenoise.datasets.folder.Folder", "root": "nowhere"}
        with pytest.raises(error, match=facts):
            train(config)
    with pytest.raises(UsageError, match="holdout=3"):
        train(configured(tmp_path / "y", "holdout=3"))
