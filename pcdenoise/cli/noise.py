"""Make a clean point cloud noisy, for tests of denoisers: the same seed gives the same noise.

The words are values of the noise model's file in conf/noise/, for instance
  pcdenoise noise clean.ply --model laplace --level 0.02
  pcdenoise noise clean.ply --model outliers share=0.1
  pcdenoise noise part.off --model scanner views=2 -o scan.ply

Row i out is row i in, with all its attributes, for every model but the outliers, which add points after the last row,
and the scanner, which drops what it does not see and makes new points where the file holds a mesh.
"""

import argparse
import json
from pathlib import Path
from typing import Any

AFTER_INTERRUPT = "no file is half written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("input", type=Path, metavar="CLEAN", help="the clean cloud; the suffix tells the format")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="values of the noise model")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="default: CLEAN_noisy.EXT")
    parser.add_argument("--model", default="gaussian", metavar="NAME", help="a file in conf/noise/ (default: gaussian)")
    parser.add_argument("--level", type=float, metavar="X", help="relative to the cloud's unit sphere (default: 0.01)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output, even the input itself")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")


def run(options: argparse.Namespace) -> None:
    """Read, add noise, write, report."""
    from pcdenoise.cli.main import overrides
    from pcdenoise.config import instantiate
    from pcdenoise.datasets.noise_models import add_noise, noise_config
    from pcdenoise.errors import UsageError
    from pcdenoise.io import FORMATS, check_target, read, write

    if options.seed < 0:
        raise UsageError(f"seed is {options.seed}; give a whole number from 0")
    config = noise_config(options.model, options.level, overrides(options.overrides))
    model = instantiate(config)
    if not options.input.is_file() or options.input.suffix.lower() not in FORMATS:
        read(options.input)  # says what is wrong with it
    output = options.output or options.input.with_name(f"{options.input.stem}_noisy{options.input.suffix}")
    check_target(output, overwrite=options.overwrite)
    clean = read(options.input)

    import numpy as np

    from pcdenoise.datasets.mesh_files import MESH_SUFFIXES, find_mesh
    from pcdenoise.geometry.frame import Frame

    mesh = find_mesh(options.input) if model.scans_meshes and options.input.suffix.lower() in MESH_SUFFIXES else None
    noisy, rows = add_noise(clean, model, np.random.default_rng(options.seed), mesh)
    write(noisy, output, overwrite=options.overwrite)
    if options.quiet:
        return
    kept = rows[rows >= 0]
    moves = noisy.points[rows >= 0] - clean.points[kept]
    squares = (moves[np.isfinite(moves).all(axis=1)] ** 2).sum(axis=1)
    report = {
        "model": options.model,
        "values": _without_targets(config),
        "seed": options.seed,
        "points": len(noisy),
        "added": int((rows < 0).sum()),
        "dropped": len(clean) - len(np.unique(kept)),
        "unit": Frame.unit_sphere(clean.points[clean.finite]).scale,
        "rms_move": float(np.sqrt(squares.mean())) if len(squares) else None,
        "largest_move": float(np.sqrt(squares.max())) if len(squares) else None,
    }
    print(_summary(report, output, as_json=options.json))


def _without_targets(config: Any) -> Any:
    """A noise model's values as a user wrote them, without the names of classes."""
    if isinstance(config, dict):
        return {key: _without_targets(value) for key, value in config.items() if key != "_target_"}
    return [_without_targets(value) for value in config] if isinstance(config, list) else config


def _summary(report: dict[str, Any], output: Path, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"output": str(output), **report})
    seed, added, dropped = report["seed"], report["added"], report["dropped"]
    values = [f"{key} {value}" for key, value in report["values"].items() if not isinstance(value, list)]
    lines = [
        f"noise            {', '.join([report['model'], *values, f'seed {seed}'])}",
        f"unit             {report['unit']:.4g}, the radius of the clean cloud",
        f"points           {report['points']:,}"
        + (f" ({added:,} added, {dropped:,} dropped)" if added or dropped else ""),
    ]
    if report["rms_move"] is not None:
        moved = f"{report['rms_move']:.4g} root mean square, {report['largest_move']:.4g} at most"
        lines.append(f"moved            {moved}")
    return "\n".join([*lines, f"written          {output}"])
