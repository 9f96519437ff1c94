"""The command line as a user meets it: words in, files, lines and an exit code out."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pcdenoise.cli.main import main
from pcdenoise.cloud import PointCloud
from pcdenoise.io import write

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder in which commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(capsys):
    """Run a command line in this process."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture
def start(folder):
    """Start a command line, or a Python script, in a process of its own."""
    running = []

    def popen(*arguments, script=None, **options):
        begin = ["-c", script] if script else ["-m", "pcdenoise"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        command = [sys.executable, *begin, *map(str, arguments)]
        running.append(subprocess.Popen(command, cwd=folder, env=environment, **streams))
        return running[-1]

    yield popen
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    """Run it to its end."""

    def finish(*arguments, **options):
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        return SimpleNamespace(code=process.returncode, out=out, err=err)

    return finish


@pytest.fixture
def listing(folder):
    """What lies in the folder, byte by byte."""

    def take():
        return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}

    return take


@pytest.fixture
def refused(cli, listing):
    """A command fails with this code and these words, in one line, and leaves every file as it is."""

    def check(code, words, *arguments):
        before = listing()
        result = cli(*arguments)
        assert_one_line(result, code, words)
        assert listing() == before

    return check


@pytest.fixture
def one_line():
    """The result of a command is this code, one line on standard error with these words, and nothing else."""
    return assert_one_line


def assert_one_line(result, code, words):
    assert result.code == code, result
    assert result.out == ""
    assert result.err.startswith("pcdenoise: ")
    assert result.err.count("\n") == 1
    assert "unforeseen" not in result.err
    for word in [words] if isinstance(words, str) else words:
        assert word in result.err


@pytest.fixture(scope="session")
def noisy(noisy_sphere):
    """2000 noisy points of a sphere with everything a scanner may say about them."""
    rng = np.random.default_rng(1)
    points = noisy_sphere[rng.permutation(6000)[:2000]]
    return PointCloud(
        points,
        {
            "colors": rng.integers(0, 256, (2000, 3)).astype(np.uint8),
            "normals": (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32),
            "intensity": rng.integers(0, 256, 2000).astype(np.uint16),
            "time": rng.uniform(0, 1e5, 2000),
        },
    )


@pytest.fixture
def scan(folder, noisy):
    """The noisy cloud as a file."""
    write(noisy, folder / "scan.ply")
    return folder / "scan.ply"
