"""Denoise every point cloud under a folder and check what must hold for each; prints a Markdown table.

    python tools/denoise_real_scans.py SCANS -o runs/real_scans --pictures

The same steps as `pcdenoise denoise`, then the written file is read again and compared with the input, row by row.
"""

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.api import Report, denoise_with_report, estimated_noise, load_model
from pcdenoise.cloud import PointCloud
from pcdenoise.denoisers.engine import Engine
from pcdenoise.errors import PcdenoiseError
from pcdenoise.geometry.neighbours import knn
from pcdenoise.io import FORMATS, read, write
from pcdenoise.viewer import comparison_sheet

FAR = 3.0  # distances to the 8th neighbour; where more than one row in a thousand moves farther, rows were permuted
SHIFT = 0.1  # spacings that the centroid may move
EQUAL = 1e-3  # spacings that a format's own rounding may cost

COLUMNS = (
    "file", "points", "seconds", "noise before", "after", "spacings before", "after", "passes", "attributes intact",
    "empty rows intact", "order intact", "shift intact", "read again equal",
)  # fmt: skip


def main() -> None:
    """Go through the files; exit with 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a folder, searched with its subfolders, or one file")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/real_scans"), help="default: runs/real_scans")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--passes", type=int, help="network passes; by default by the estimated noise")
    parser.add_argument("--pictures", action="store_true", help="also write before/after sheets")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.output.mkdir(parents=True, exist_ok=True)
    denoiser = load_model(options.model)
    found = sorted(options.path.rglob("*")) if options.path.is_dir() else [options.path]
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    intact = True
    for path in found:
        # a licence beside the scans is no cloud
        if path.suffix.lower() not in FORMATS or path.stem.upper().startswith(("LICENSE", "README")):
            continue
        try:
            row = _row(path, denoiser, options.passes, options.output, pictures=options.pictures)
        except PcdenoiseError as error:
            row = [path.name, f"error: {error}"] + [""] * (len(COLUMNS) - 2)
            intact = False
        intact &= not any(cell.startswith("NO") for cell in row)
        print("| " + " | ".join(row) + " |", flush=True)
    sys.exit(not intact)


def _row(path: Path, denoiser: Engine, passes: int | None, folder: Path, *, pictures: bool) -> list[str]:
    cloud = read(path)
    result, report = denoise_with_report(cloud, denoiser, passes="auto" if passes is None else passes)
    noise_after = estimated_noise(result)
    write(result, folder / path.name, overwrite=True)
    again = read(folder / path.name)
    if pictures:
        noise = f"estimated noise {report.noise_before:.3g} → {noise_after:.3g}"
        title = f"{path.name}: {len(cloud):,} points, {noise}"
        comparison_sheet({"before": cloud, "after": again}, (folder / path.name).with_suffix(".png"), title=title)
    return [
        path.name,
        f"{len(cloud):,}",
        f"{report.seconds:.1f}",
        f"{report.noise_before:.3g}",
        f"{noise_after:.3g}",
        f"{report.noise_before / report.spacing:.2f}",
        f"{noise_after / report.spacing:.2f}",
        str(report.passes),
        *_checks(cloud, result, again, report),
    ]


def _checks(cloud: PointCloud, result: PointCloud, again: PointCloud, report: Report) -> list[str]:
    """Attributes, rows without coordinates, order, shift, equality of what was written and what is read."""
    if len(again) != len(cloud):
        return [f"NO: {len(again):,} points came back", *["NO"] * 4]
    lost = [name for name, values in cloud.attributes.items() if not _same(values, again.attributes.get(name))]
    finite = cloud.finite
    empty = np.array_equal(np.isfinite(cloud.points), np.isfinite(again.points))
    points, moved = cloud.points[finite], (again.points - cloud.points)[finite]
    # the distance to the 8th neighbour: a scan is sparser farther away
    around = np.maximum(knn(points, min(8, len(points)))[0][:, -1], report.spacing)
    reach = np.linalg.norm(moved, axis=1) / around
    shift = np.linalg.norm(moved.mean(axis=0)) / report.spacing
    rounding = np.abs((again.points - result.points)[finite]).max() / report.spacing
    names = ", ".join(cloud.attributes) or "none"
    return [
        f"NO: {', '.join(lost)}" if lost else f"yes ({names})",
        ("yes" if empty else "NO") + f" ({(~finite).sum():,})",
        ("yes" if (reach > FAR).mean() < 1e-3 else "NO") + f" ({reach.max():.2f} at most)",
        ("yes" if shift < SHIFT else "NO") + f" ({shift:.3f})",
        ("yes" if rounding < EQUAL else "NO") + (f" (within {rounding:.0e})" if rounding else ""),
    ]


def _same(values: NDArray[Any], others: NDArray[Any] | None) -> bool:
    return others is not None and np.array_equal(values, others, equal_nan=values.dtype.kind == "f")


if __name__ == "__main__":
    main()
