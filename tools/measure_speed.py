"""Time and peak memory of denoising noisy spheres in this process, after loading, and the start-up of the command.

    python tools/measure_speed.py [--points 10000 50000 100000 1000000]

Each size runs in a process of its own, so that its peak memory is its own; the first run of a process, which compiles
or loads kernels, is on a small cloud and does not count.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import subprocess
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table


def noisy_sphere(n: int, level: float) -> np.ndarray:
    """Fibonacci sphere of n points with Gaussian noise of `level` spacings."""
    i = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / n), np.pi * (1 + 5**0.5) * i
    points = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    spacing = float(np.sqrt(4 * np.pi / n))
    noisy: np.ndarray = points + level * spacing * np.random.default_rng(0).standard_normal(points.shape)
    return noisy


def measure(n: int, level: float, quality: str) -> dict[str, float]:
    """Seconds and peak resident memory for n points."""
    import resource

    from pcdenoise.api import denoise_with_report, load_model
    from pcdenoise.cloud import PointCloud

    denoiser = load_model(device="cpu")
    denoise_with_report(PointCloud(noisy_sphere(3000, level)), denoiser, quality=quality)
    cloud = PointCloud(noisy_sphere(n, level))
    started = time.perf_counter()
    _, report = denoise_with_report(cloud, denoiser, quality=quality)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "peak_gb": peak, "passes": report.passes}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 50_000, 100_000, 1_000_000])
    parser.add_argument("--level", type=float, default=1.0, help="noise in spacings")
    parser.add_argument("--quality", default="balanced", choices=("fast", "balanced", "best"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.level, options.quality)))
        return
    table = Table(title=f"noise of {options.level:g} spacings, {os.cpu_count()} cores")
    for title in ("points", "seconds", "peak memory, GB", "passes"):
        table.add_column(title, justify="right")
    for n in options.points:
        command = [
            sys.executable,
            __file__,
            "--one",
            str(n),
            "--level",
            str(options.level),
            "--quality",
            options.quality,
        ]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        table.add_row(f"{n:,}", f"{found['seconds']:.2f}", f"{found['peak_gb']:.2f}", f"{found['passes']:.0f}")
    console = Console()
    console.print(table)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pcdenoise", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    console.print(f"pcdenoise --help: {np.median(times):.2f} s", highlight=False)


if __name__ == "__main__":
    main()
