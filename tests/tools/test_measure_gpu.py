"""The script that checks and times the GPU paths, on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "tools" / "measure_gpu.py"


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.slow
def test_all_parts_run_small(tmp_path):
    out = tmp_path / "cpu.json"
    done = run("--device", "cpu", "--points", 1500, "--repeats", 2, "--check-points", 500, "--out", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert {"environment", "ceilings", "neighbours 1500", "gather_max 1500", "stage 1500", "denoising 1500"} <= set(
        found
    )
    assert found["gather_max 1500"]["least_gb"] == pytest.approx(1500 * (32 * 20 + 64 * 8) / 1e9)
    assert found["neighbours 1500"]["search_ms"] > 0
    assert found["stage 1500"]["network_ms"] <= found["stage 1500"]["tiles_ms"]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_it_needs(tmp_path):
    done = run("--out", tmp_path / "gpu.json")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [done.stderr.strip()]
    assert "--device cpu" in done.stderr
    assert not list(tmp_path.iterdir())
