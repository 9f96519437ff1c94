"""What the README shows works: its commands, its Python, its links."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
LEFT_OUT = re.compile(r"#\s*(long|needs)\b")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands():
    """Lines that begin with `pcdenoise `, continued ones joined, without those marked `# long` or `# needs ...`."""
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("pcdenoise ") and not LEFT_OUT.search(line)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the demo clouds, in which one line of the README follows the other."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data").mkdir()
    for cloud in (ROOT / "data").glob("*.ply"):
        shutil.copy(cloud, folder / "data")
    return folder


def run(place, words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", commands())
def test_command(line, place):
    _, *words = shlex.split(line, comments=True)
    run(place, [sys.executable, "-m", "pcdenoise", *words])


@pytest.mark.parametrize("snippet", blocks("python"))
def test_snippet(snippet, place):
    run(place, [sys.executable, "-c", snippet])


def test_there_is_something_to_run():
    assert any("denoise" in line for line in commands())


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"", README))) or [("README.md", "")]
)
def test_link(target):
    target = "".join(target)
    if "://" in target or target.startswith("mailto:"):
        return
    path, _, anchor = target.partition("#")
    assert (ROOT / path).exists(), f"{target} does not exist"
    if anchor and not path:
        headings = re.findall(r"^#+ (.+)$", README, flags=re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
