"""Methods on scans without a known truth: what can be said all the same, as a Markdown table.

    python tools/measure_real_scans.py SCANS --methods edgeconv apss jet taubin

* noise: the blind estimate, in spacings of the scan, before and after.
* flat: root mean square distance to the fitted plane in the flattest fifth of 2,000 neighbourhoods of 48 points, in
  spacings. They are chosen in the scan, and hold the same rows before and after.
* moved: mean displacement and its 99th percentile, in spacings. A long way for little noise is shape taken.

Of a scan with more points than --points the nearest to its median are taken.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.catalogue import denoising_method
from pcdenoise.errors import PcdenoiseError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.noise import estimate_noise
from pcdenoise.io import FORMATS, read

CENTRES, NEIGHBOURS, FLATTEST = 2000, 48, 0.2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a folder of scans")
    parser.add_argument("--methods", nargs="+", default=["edgeconv", "apss", "jet", "taubin"])
    parser.add_argument("--points", type=int, default=50_000, help="at most so many of a scan")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| scan | points | method | noise | flat | moved, mean | 99 % | s |\n|---|---|---|---|---|---|---|---|")
    for path in sorted(path for path in options.root.rglob("*") if path.suffix.lower() in FORMATS):
        try:
            cloud = read(path)
        except PcdenoiseError:
            continue  # a license or a table beside the scans
        points = crop(np.unique(cloud.points[cloud.finite], axis=0), options.points)
        points = Frame.of(points).to_local(points)
        rows = flat_patches(points)
        before = f"{estimate_noise(points):.2f} | {spread(points[rows]):.2f}"
        print(f"| {path.name} | {len(points):,} | before | {before} | | | |")
        for name in options.methods:
            method = denoising_method(name)
            started = time.perf_counter()
            result = method(points)
            seconds = time.perf_counter() - started
            moved = np.linalg.norm(result - points, axis=1)
            print(
                f"| | | `{name}` | {estimate_noise(result):.2f} | {spread(result[rows]):.2f} | {moved.mean():.2f} "
                f"| {np.percentile(moved, 99):.2f} | {seconds:.1f} |",
                flush=True,
            )


def crop(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The points nearest to their median."""
    squared = ((points - np.median(points, axis=0)) ** 2).sum(axis=1)
    return points[np.sort(np.argsort(squared)[:count])]


def flat_patches(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Rows (patches, neighbours) of the neighbourhoods that are thinnest for their extent."""
    centres = np.random.default_rng(0).choice(len(points), min(CENTRES, len(points)), replace=False)
    rows = knn(points, NEIGHBOURS, points[centres])[1]
    extents = singular_values(points[rows])
    flatness = extents[:, 2] / extents[:, 1]
    return rows[np.argsort(flatness)[: int(FLATTEST * len(rows))]]


def spread(patches: NDArray[np.float64]) -> float:
    """Root mean square distance of patches (b, m, 3) to their planes."""
    return float(np.sqrt((singular_values(patches)[:, 2] ** 2).mean() / patches.shape[1]))


def singular_values(patches: NDArray[np.float64]) -> NDArray[np.float64]:
    """(b, 3) of the centred patches, falling."""
    return np.linalg.svd(patches - patches.mean(axis=1, keepdims=True), compute_uv=False)


if __name__ == "__main__":
    main()
