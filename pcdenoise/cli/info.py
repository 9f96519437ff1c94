"""Say what a point cloud holds, how noisy it is and what `denoise` would do."""

import argparse
import json
from pathlib import Path

AFTER_INTERRUPT = "nothing was changed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="a point cloud; the suffix tells the format")
    parser.add_argument("--model", default="auto", metavar="NAME|PATH", help="weights that `denoise` would use")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> None:
    """Read, measure, print."""
    from pcdenoise.io import read

    cloud = read(options.input)

    from pcdenoise.api import inspect
    from pcdenoise.cli.progress import progress_bar

    with progress_bar("measuring"):
        found = inspect(cloud, options.model)
    if options.json:
        print(json.dumps({"input": str(options.input), **vars(found)}))
        return
    spacing = found.spacing or 1.0
    size = " x ".join(f"{b - a:.6g}" for a, b in zip(found.lower, found.upper, strict=True))
    corner = ", ".join(f"{a:.6f}".rstrip("0").rstrip(".") for a in found.lower)
    rows = {
        "points": f"{found.points:,} ({found.not_finite:,} not finite, {found.duplicates:,} duplicates)",
        "attributes": ", ".join(f"{name} ({kind})" for name, kind in found.attributes.items()) or "none",
        "extent": f"{size} from ({corner})",
        "unit, a guess": found.unit_guess,
        "spacing": f"{found.spacing:.4g}",
        "estimated noise": f"{found.noise:.4g} ({found.noise / spacing:.2f} spacings)",
        "outliers": f"{found.outlier_share:.2%}",
        "denoise would": found.advice,
    }
    print("\n".join(f"{name:<16} {value}" for name, value in rows.items()))
