"""Seconds of the networks and of other denoisers on one cloud, in one run: in this process, and as commands.

    python tools/measure_peers.py [--points 10000] [--runs 3] [METHOD ...]

A METHOD is a name and its values, as in `"flagship quality=fast"`, `jet` or `score_denoise.safetensors`. Each denoiser
takes its turn in every round, so that a busy spell of the machine meets all of them, and each number is a median over
the rounds. `in process` is after a call on a small cloud, which loads or compiles kernels. `command` is `pcdenoise
denoise` on a PLY file, from start to exit. Run it on an idle machine.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure_speed import noisy_sphere
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pcdenoise.cloud import PointCloud
from pcdenoise.denoisers.catalogue import denoising_method, method_names
from pcdenoise.io.files import write

METHODS = ["flagship quality=fast", "flagship", "flagship quality=best", "edgeconv"]
METHODS += ["jet", "bilateral", "wlop", "apss", "rimls", "mls", "guided", "glr", "laplacian", "taubin"]


def command(asked: str, scan: Path) -> list[str]:
    """The command line that denoises a file with a method, or with a network."""
    name, *values = asked.split()
    kind, values = ("--method", [f"method.{v}" for v in values]) if name in method_names() else ("--model", values)
    output = ["-o", str(scan.with_name("denoised.ply")), "--overwrite", "--quiet"]
    return [sys.executable, "-m", "pcdenoise", "denoise", str(scan), kind, name, *output, *values]


def seconds(work: Callable[[], object]) -> float:
    """Of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS, metavar="METHOD")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--level", type=float, default=1.0, help="noise in spacings")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    small, points = noisy_sphere(2000, options.level), noisy_sphere(options.points, options.level)
    methods = {asked: denoising_method(asked.split()[0], asked.split()[1:]) for asked in options.methods}
    for method in methods.values():
        method(small)
    inside: dict[str, list[float]] = {asked: [] for asked in methods}
    whole: dict[str, list[float]] = {asked: [] for asked in methods}
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.ply"
        write(PointCloud(points), scan)
        for _ in track(range(options.runs), "rounds", console=Console(stderr=True)):
            for asked, method in methods.items():
                inside[asked].append(seconds(lambda method=method: method(points)))  # type: ignore[misc]
                line = command(asked, scan)
                whole[asked].append(seconds(lambda line=line: subprocess.run(line, check=True)))  # type: ignore[misc]
    table = Table(title=f"{options.points:,} points, noise of {options.level:g} spacings, {os.cpu_count()} cores")
    for title in ("", "in process, s", "over the first's", "command, s"):
        table.add_column(title, justify="right" if title else "left")
    first = float(np.median(next(iter(inside.values()))))
    for asked in methods:
        median = float(np.median(inside[asked]))
        table.add_row(asked, f"{median:.2f}", f"{median / first:.2f}", f"{np.median(whole[asked]):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
