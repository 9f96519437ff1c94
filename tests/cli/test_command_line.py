import pytest

from pcdenoise import __version__

HEAVY = ("torch", "numpy", "scipy", "numba", "hydra", "rich", "matplotlib", "open3d")


@pytest.mark.parametrize("words", [["--help"], ["denoise", "--help"], ["info", "--help"], ["train", "--help"]])
def test_help_loads_nothing_heavy(words, run):
    script = f"""
import sys
from pcdenoise.cli.main import main
try:
    main({words})
except SystemExit as done:
    print("code", done.code)
print("loaded", [name for name in {HEAVY} if name in sys.modules])
"""
    result = run(script=script)
    assert result.err == ""
    assert "exit codes:" in result.out
    assert result.out.endswith("code 0\nloaded []\n")


def test_version(run):
    result = run("--version")
    assert (result.code, result.out, result.err) == (0, f"pcdenoise {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ([], ["COMMAND", "see pcdenoise --help"]),
        (["nonsense"], ["'nonsense'", "'denoise'", "see pcdenoise --help"]),
        (["denoise"], ["INPUT", "see pcdenoise denoise --help"]),
        (["denoise", "a.ply", "--nonsense"], ["'--nonsense'", "see pcdenoise denoise --help"]),
        (["denoise", "a.ply", "--over"], ["'--over'"]),
        (["denoise", "a.ply", "b.ply"], ["'b.ply' is not an override"]),
        (["denoise", "a.ply", "-o"], ["-o", "expected one argument", "see pcdenoise denoise --help"]),
        (["info"], ["INPUT", "see pcdenoise info --help"]),
        (["info", "a.ply", "b.ply"], ["'b.ply'", "see pcdenoise info --help"]),
        (["train", "nonsense"], ["'nonsense' is not an override"]),
        (["train", "nonsense=1"], ["nonsense"]),
        (["train", "--nonsense"], ["'--nonsense'", "see pcdenoise train --help"]),
    ],
)
def test_mistakes_are_one_line(words, facts, cli, one_line):
    one_line(cli(*words), 2, facts)


def test_in_a_process_of_its_own(run, scan, folder, one_line):
    result = run("denoise", scan)
    assert (result.code, result.err) == (0, "")
    assert (folder / "scan_denoised.ply").exists()
    one_line(run("denoise", "nowhere.ply"), 3, "nowhere.ply does not exist")


@pytest.mark.parametrize("buffered", ["0", "1"])
def test_a_reader_that_leaves_early_is_no_error(buffered, start):
    process = start("train", "--show", env={"PYTHONUNBUFFERED": buffered})
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
