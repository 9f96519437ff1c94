"""Clean a point cloud: same points, same order, every attribute kept.

Overrides are values of conf/denoise.yaml, for instance `rotations=8` or `tile=50000`. `--method` takes a classical
denoiser in place of a network; its values are those of its file in conf/method/, for instance `method.neighbours=32`.
"""

import argparse
import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdenoise.denoisers.method import MethodMover

AFTER_INTERRUPT = "no file is half written"
OF_NETWORKS = ("model", "device", "sampler", "tile", "relaxation", "ensemble")
OF_METHODS = "method."
QUALITIES = ("fast", "balanced", "best")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="the noisy cloud; the suffix tells the format")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="configuration values")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="default: INPUT_denoised.EXT")
    parser.add_argument("--model", metavar="NAME|PATH", help="weights: a name that comes with the package or a file")
    parser.add_argument("--method", metavar="NAME", help="a file in conf/method/ instead of a network, such as jet")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where the network runs")
    parser.add_argument("--quality", choices=QUALITIES, help="better, or faster (default: balanced)")
    parser.add_argument("--passes", metavar="auto|N", help="network passes; auto goes by the estimated noise")
    parser.add_argument("--strength", type=float, metavar="X", help="factor of the displacement, 0 to 2 (default 1)")
    parser.add_argument("--max-move", type=float, metavar="LENGTH", help="nothing moves further, in the cloud's unit")
    parser.add_argument("--seed", type=int, metavar="N", help="of the orientations that rotations=N averages over")
    parser.add_argument("--render", type=Path, metavar="PNG", help="also make a before/after picture")
    parser.add_argument("--animate", type=Path, metavar="GIF|MP4", help="also show the steps, one after the other")
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs, even the input itself")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")


def run(options: argparse.Namespace) -> None:
    """Read, denoise, write, report."""
    from pcdenoise.cli.main import overrides
    from pcdenoise.config import compose, instantiate
    from pcdenoise.errors import UsageError
    from pcdenoise.io import FORMATS, check_target, read, write

    given = overrides(options.overrides)
    words = [word for word in given if not word.startswith(OF_METHODS)]
    config = compose("denoise", words)
    flags = {
        key: getattr(options, key) for key in ("model", "device", "quality", "passes", "strength", "max_move", "seed")
    }
    config |= {key: value for key, value in flags.items() if value is not None}
    _check_values(config)
    passes = _passes(config["passes"])
    # Unless the words speak of the sampler, it is the one that the weights were validated with.
    sampler = instantiate(config["sampler"]) if any(word.startswith("sampler") for word in words) else None
    method = _method(options, [word.removeprefix(OF_METHODS) for word in given if word.startswith(OF_METHODS)], words)
    # Everything that can be refused is refused before the work.
    if not options.input.is_file() or options.input.suffix.lower() not in FORMATS:
        read(options.input)  # says what is wrong with it
    output = options.output or options.input.with_name(f"{options.input.stem}_denoised{options.input.suffix}")
    check_target(output, overwrite=options.overwrite)
    if options.render is not None:
        from pcdenoise.viewer.figure import check_picture

        check_picture(options.render, overwrite=options.overwrite)
    if options.animate is not None:
        from pcdenoise.viewer.animation import Trajectory, check_animation, write_animation

        check_animation(options.animate, overwrite=options.overwrite)
        if (config["rotations"] or 1) > 1 or (config["quality"] == "best" and not options.method):
            raise UsageError(
                "the average of several orientations has no steps; leave out rotations, --quality best or --animate"
            )
    cloud = read(options.input)
    trajectory = None if options.animate is None else Trajectory(cloud)

    from pcdenoise.api import denoise_with_report, estimated_noise, load_model
    from pcdenoise.cli.progress import progress_bar

    engine = {key: config[key] for key in ("tile", "relaxation", "ensemble")}
    denoiser = method or load_model(config["model"], config["device"], sampler, **engine)
    with progress_bar("denoising", quiet=options.quiet) as advance:
        result, report = denoise_with_report(
            cloud,
            denoiser,
            quality=config["quality"],
            passes=passes,
            strength=config["strength"],
            max_move=config["max_move"],
            rotations=config["rotations"],
            seed=config["seed"],
            progress=advance,
            iterate=None if trajectory is None else trajectory.add,
            model_name=options.method or str(config["model"]),
        )
    if report.note:
        warnings.warn(report.note, stacklevel=2)
    write(result, output, overwrite=options.overwrite)
    noise_after = estimated_noise(result) if report.passes else report.noise_before
    if options.render is not None:
        from pcdenoise.viewer import comparison_sheet

        noise = f"estimated noise {report.noise_before:.3g} → {noise_after:.3g}"
        title = f"{options.input.name}: {report.points:,} points, {noise}"
        comparison_sheet({"before": cloud, "after": result}, options.render, title=title)
    if trajectory is not None:
        trajectory.add(result.points)
        write_animation(trajectory, options.animate, title=f"{options.input.name}: {report.points:,} points")
    if not options.quiet:
        print(_summary({**vars(report), "noise_after": noise_after}, output, as_json=options.json))


def _method(options: argparse.Namespace, values: list[str], others: list[str]) -> "MethodMover | None":
    """The method that is asked for, with its values."""
    from pcdenoise.errors import UsageError

    if options.method is None:
        if values:
            raise UsageError(f"{OF_METHODS}{values[0]} is a value of a method; say which one: --method NAME")
        return None
    flags = [f"--{name}" for name in ("model", "device") if getattr(options, name) is not None]
    words = [word for word in others if word.split("=")[0].split(".")[0] in OF_NETWORKS]
    if flags or words:
        raise UsageError(f"{(flags + words)[0]} is for networks and {options.method} is none; leave out one of the two")
    from pcdenoise.denoisers.catalogue import denoising_method
    from pcdenoise.denoisers.method import MethodMover

    method = denoising_method(options.method, values)
    if method.needs:
        raise UsageError(
            f"the method {options.method!r} needs the true {', '.join(sorted(method.needs))}, which a cloud to "
            "clean has not; take another, oracles are for benchmarks"
        )
    return MethodMover(method)


def _passes(value: str | int) -> str | int:
    from pcdenoise.errors import UsageError

    if value == "auto" or str(value).isdecimal():
        return value if value == "auto" else int(value)
    raise UsageError(f"passes is {value!r}; give auto or a whole number from 0")


def _check_values(config: dict[str, Any]) -> None:
    """Refuse what YAML lets through: words for numbers, fractions for counts, infinities."""
    from pcdenoise.errors import UsageError

    for key in ("strength", "max_move", "rotations", "seed", "tile", "relaxation", "ensemble"):
        value = config[key]
        if key in ("max_move", "rotations") and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UsageError(f"{key} is {value!r}; give a number")
    if config["quality"] not in QUALITIES:
        raise UsageError(f"quality is {config['quality']!r}; give {', '.join(QUALITIES)}")
    if config["relaxation"] < 0:
        raise UsageError(f"relaxation is {config['relaxation']}; give a number from 0")
    for key, least in {"rotations": 1, "seed": 0, "tile": 1, "ensemble": 1}.items():
        if config[key] is not None and (not isinstance(config[key], int) or config[key] < least):
            raise UsageError(f"{key} is {config[key]}; give a whole number from {least}")


def _summary(report: dict[str, Any], output: Path, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"output": str(output), **report})
    spacing = report["spacing"] or 1.0
    before, after = report["noise_before"], report["noise_after"]
    skipped = f" ({report['skipped']:,} without coordinates)" if report["skipped"] else ""
    shares = f"({before / spacing:.2f} and {after / spacing:.2f} spacings)"
    return "\n".join(
        (
            f"points           {report['points']:,}{skipped}",
            f"estimated noise  {before:.4g} before, {after:.4g} after {shares}",
            f"moved            {report['mean_move']:.4g} on average, {report['largest_move']:.4g} at most",
            f"passes           {report['passes']} on {report['device']}, {report['seconds']:.2f} s",
            f"written          {output}",
        )
    )
