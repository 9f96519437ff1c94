"""Processes started by torchrun, which talk through gloo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pcdenoise.checkpoint import load_checkpoint
from pcdenoise.errors import PcdenoiseError
from pcdenoise.training.parallel import Processes
from pcdenoise.training.session import BEST, LAST, train

ROOT = Path(__file__).resolve().parents[2]
ONE_FAILS = """
import os, sys, torch
from pcdenoise.errors import PcdenoiseError, UsageError
from pcdenoise.training.parallel import joined
def say(line):
    os.write(1, f"{line}\\n".encode())  # at once: print writes the end of the line apart
try:
    with joined(torch.device("cpu")) as processes:
        with processes.first_one_first():
            say(f"{processes.rank} of {processes.count}")
        numbers = torch.tensor([1.0, 2.0]) * (1 + processes.rank)
        matrix = torch.full((2, 2), float(processes.rank))
        processes.average([numbers, matrix])
        say(f"{numbers.tolist()} {matrix.tolist()}")
        if processes.rank:
            raise UsageError("this one fails")
        processes.average([numbers])
except PcdenoiseError as error:
    say(error)
    sys.exit(3)
"""


def torchrun(*arguments):
    """Two processes with one thread each."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_alone_nothing_is_averaged():
    value = torch.tensor([1.0, 2.0])
    Processes().average([value])
    assert value.tolist() == [1, 2]


def test_another_process_that_is_gone_is_one_line(monkeypatch):
    def fail(tensor):
        raise RuntimeError("Connection closed by peer [127.0.0.1]:40000")

    monkeypatch.setattr("torch.distributed.all_reduce", fail)
    with pytest.raises(PcdenoiseError, match="another process of this run has ended"):
        Processes(0, 2).average([torch.ones(1)])


def test_two_processes_train_as_one(words, configured, tmp_path, rows):
    length = ["trainer.max_steps=4", "patches.patches=4", "trainer.warmup=1", "validation.every=2"]
    train(configured(tmp_path / "one", *length))
    result = torchrun("-m", "pcdenoise", "train", *words, *length, f"output={tmp_path / 'two'}")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"best weights: {tmp_path / 'two' / BEST}\n"
    one, two = (rows(tmp_path / name / "steps.csv") for name in ("one", "two"))
    assert [row["step"] for row in two] == ["1", "2", "3", "4"]
    for name in ("loss", "stage_1", "stage_2"):
        for a, b in zip(one, two, strict=True):
            assert float(b[name]) == pytest.approx(float(a[name]), rel=1e-5)
    figures = [float(row["score"]) for name in ("one", "two") for row in rows(tmp_path / name / "validation.csv")]
    assert figures[2:] == pytest.approx(figures[:2], rel=1e-3)
    one, two = (load_checkpoint(tmp_path / name / LAST) for name in ("one", "two"))
    for name, value in one[0].items():
        if name.startswith(("model.", "average.")):
            # a step is up to 2.5e-3 long, for a gradient that is nothing but rounding errors too
            torch.testing.assert_close(two[0][name], value, rtol=1e-3, atol=1e-4)
    assert two[1]["config"]["patches"] == one[1]["config"]["patches"]
    assert load_checkpoint(tmp_path / "two" / BEST)[1]["provenance"]["processes"] == 2


def test_one_that_fails_ends_all(tmp_path):
    (tmp_path / "script.py").write_text(ONE_FAILS)
    result = torchrun(str(tmp_path / "script.py"))
    assert result.returncode != 0
    lines = result.stdout.splitlines()
    assert lines[:2] == ["0 of 2", "1 of 2"]
    assert lines.count("[1.5, 3.0] [[0.5, 0.5], [0.5, 0.5]]") == 2
    assert "this one fails" in lines
