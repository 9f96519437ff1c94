"""Time the k-NN search among a cloud's own points against scipy's KD-tree on all cores: noisy spheres, in one run.

    python tools/measure_knn.py [--points 10000 100000 1000000]

Both build their tree and answer for all points; the tree of scipy is built the fast way and asked in the order of its
leaves, which is the fastest way to ask. The best of several calls, in milliseconds.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import time
from collections.abc import Callable

import numpy as np
from measure_speed import noisy_sphere
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

from pcdenoise.geometry.neighbours import knn


def with_scipy(points: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Distances (n, k) in the order of the tree, by the calls alone."""
    tree = cKDTree(points, balanced_tree=False)
    return np.asarray(tree.query(points[tree.indices], np.arange(2, k + 2), workers=-1)[0])


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Shortest time of a call."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--neighbours", type=int, nargs="+", default=[8, 12, 32])
    options = parser.parse_args()
    knn(noisy_sphere(1000, 1.0), 8)  # compiles or loads the kernels
    table = Table(title=f"noise of 1 spacing, {os.cpu_count()} cores, ms")
    for title in ("points", "k", "scipy", "ours", "ratio"):
        table.add_column(title, justify="right")
    for n in options.points:
        points = noisy_sphere(n, 1.0)
        repeats = max(1, min(7, 1_000_000 // n))
        for k in options.neighbours:
            scipy = milliseconds(lambda points=points, k=k: with_scipy(points, k), repeats)  # type: ignore[misc]
            ours = milliseconds(lambda points=points, k=k: knn(points, k), repeats)  # type: ignore[misc]
            table.add_row(f"{n:,}", str(k), f"{scipy:.1f}", f"{ours:.1f}", f"{scipy / ours:.1f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
