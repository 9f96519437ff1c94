"""Clean a point cloud: same points, same order, every attribute kept.

Overrides are values of conf/denoise.yaml, for instance `rotations=8` or `tile=50000`.
"""

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="the noisy cloud; the suffix tells the format")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="configuration values")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="default: INPUT_denoised.EXT")
    parser.add_argument("--model", metavar="NAME|PATH", help="weights: a name that comes with the package or a file")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where the network runs")
    parser.add_argument("--passes", metavar="auto|N", help="network passes; auto goes by the estimated noise")
    parser.add_argument("--strength", type=float, metavar="X", help="factor of the displacement, 0 to 2 (default 1)")
    parser.add_argument("--max-move", type=float, metavar="LENGTH", help="nothing moves further, in the cloud's unit")
    parser.add_argument("--seed", type=int, metavar="N", help="of the orientations that rotations=N averages over")
    parser.add_argument("--render", type=Path, metavar="PNG", help="also make a before/after picture")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output, even the input itself")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> None:
    """Read, denoise, write, report."""
    from pcdenoise.cli.main import overrides
    from pcdenoise.config import compose, instantiate
    from pcdenoise.io import check_target, read, write

    flags = {key: getattr(options, key) for key in ("model", "device", "passes", "strength", "max_move", "seed")}
    config = compose("denoise", overrides(options.overrides))
    config |= {key: value for key, value in flags.items() if value is not None}
    output = options.output or options.input.with_name(f"{options.input.stem}_denoised{options.input.suffix}")
    # Everything that can be refused is refused before the work.
    check_target(output, overwrite=options.overwrite)
    cloud = read(options.input)

    from pcdenoise.api import denoise_with_report, load_model
    from pcdenoise.cli.progress import progress_bar

    denoiser = load_model(config["model"], config["device"], tile=config["tile"], sampler=instantiate(config["sampler"]))
    with progress_bar("denoising", quiet=options.quiet) as advance:
        result, report = denoise_with_report(
            cloud,
            denoiser,
            passes=_passes(config["passes"]),
            strength=config["strength"],
            max_move=config["max_move"],
            rotations=config["rotations"],
            seed=config["seed"],
            progress=advance,
            model_name=str(config["model"]),
        )
    write(result, output, overwrite=options.overwrite)
    if options.render is not None:
        from pcdenoise.viewer import before_after_sheet

        before_after_sheet(cloud, result, options.render)
    if not options.quiet:
        print(_summary(vars(report), output, as_json=options.json))


def _passes(value: str | int) -> str | int:
    from pcdenoise.errors import UsageError

    if value == "auto" or isinstance(value, int):
        return value
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"passes is {value!r}; give auto or a number") from None


def _summary(report: dict[str, Any], output: Path, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"output": str(output), **report})
    spacing = report["spacing"] or 1.0
    before, after = report["noise_before"], report["noise_after"]
    lines = [
        f"points           {report['points']:,}" + (f" ({report['skipped']:,} without coordinates)" if report["skipped"] else ""),
        f"estimated noise  {before:.4g} before, {after:.4g} after ({before / spacing:.2f} and {after / spacing:.2f} spacings)",
        f"moved            {report['mean_move']:.4g} on average, {report['largest_move']:.4g} at most",
        f"passes           {report['passes']} on {report['device']}, {report['seconds']:.2f} s",
        f"written          {output}",
    ]
    if report["note"]:
        lines.insert(0, f"note             {report['note']}")
    return "\n".join(lines)
