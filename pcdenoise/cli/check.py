"""Say whether what a denoiser took away looks like noise: Gaussian, and about zero.

Residuals are noisy - denoised, row by row: no row may have been dropped, added or sorted.
"""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from pcdenoise.cloud import PointCloud
    from pcdenoise.metrics.residuals import ResidualCheck

AFTER_INTERRUPT = "no file is half written"

LIMITS = (
    "What this cannot tell: noise of which only a part was taken leaves Gaussian residuals about zero. Residuals that "
    "neighbours share (waves, drift) look like shape. And a failure does not say whose it is: noise that is not "
    "Gaussian fails too, which --clean tells."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("noisy", type=Path, metavar="NOISY", help="the cloud as it was")
    parser.add_argument("denoised", type=Path, metavar="DENOISED", help="the cloud as a denoiser left it")
    parser.add_argument("--clean", type=Path, metavar="CLEAN", help="the true cloud, to test the noise itself as well")
    parser.add_argument("--neighbours", type=int, default=64, metavar="K", help="points per neighbourhood (default 64)")
    parser.add_argument("--alpha", type=float, default=0.05, metavar="A", help="level of the tests (default 0.05)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulated p-values (default 0)")
    parser.add_argument("--render", type=Path, metavar="PNG", help="also draw a QQ plot and a map of what fails")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing picture")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(options: argparse.Namespace) -> None:
    """Read, test, draw, print."""
    from pcdenoise.io import read
    from pcdenoise.viewer.figure import check_picture

    _check_values(options)
    if options.render is not None:
        check_picture(options.render, overwrite=options.overwrite)
    files = {"noisy": options.noisy, "denoised": options.denoised, "clean": options.clean}
    clouds = {path: read(path) for path in files.values() if path is not None}
    rows = _common_rows(clouds)
    noisy, denoised = clouds[options.noisy].points[rows], clouds[options.denoised].points[rows]
    _check_moved(options, noisy, denoised)
    reference = clouds[options.clean].points[rows] if options.clean else denoised

    from pcdenoise.cli.progress import progress_bar
    from pcdenoise.metrics.residuals import SurfaceFrames, check_residuals

    with progress_bar("testing"):
        frames = SurfaceFrames.of(reference, options.neighbours)
        removed = check_residuals(noisy - denoised, frames, options.alpha, options.seed)
        noise = check_residuals(noisy - reference, frames, options.alpha, options.seed) if options.clean else None
    if options.render is not None:
        from pcdenoise.viewer.residual_sheet import residual_sheet

        title = f"{options.noisy.name} - {options.denoised.name}: {removed.points:,} points"
        residual_sheet(removed, reference, options.render, title=title)
    facts = {
        "points": removed.points,
        "skipped": len(rows) - removed.points,
        "unmoved": int((noisy == denoised).all(axis=1).sum()),
        "neighbours": options.neighbours,
        "alpha": options.alpha,
        "seed": options.seed,
    }
    findings = _findings(removed, noise, facts["unmoved"])
    if options.json:
        report = {name: path and str(path) for name, path in files.items()} | facts
        report |= {"removed": _figures(removed), "noise": noise and _figures(noise), "findings": findings}
        print(json.dumps(report))
        return
    tables = [_table(removed, "removed: noisy - denoised")]
    if noise is not None:
        tables.append(_table(noise, "noise: noisy - clean"))
    print(_text(facts, tables, findings))


def _check_values(options: argparse.Namespace) -> None:
    from pcdenoise.errors import UsageError
    from pcdenoise.metrics.jarque_bera import LEAST

    if options.neighbours < LEAST:
        raise UsageError(f"neighbours is {options.neighbours}; give a whole number from {LEAST}")
    if not 0 < options.alpha < 1:
        raise UsageError(f"alpha is {options.alpha}; give a number between 0 and 1, for instance 0.05")
    if options.seed < 0:
        raise UsageError(f"seed is {options.seed}; give a whole number from 0")


def _common_rows(clouds: "dict[Path, PointCloud]") -> "NDArray[np.bool_]":
    """(n,) true for the rows that are finite in every cloud."""
    import numpy as np

    from pcdenoise.errors import InputError

    (first, noisy), *others = clouds.items()
    for path, cloud in others:
        if len(cloud) != len(noisy):
            raise InputError(
                f"{first} has {len(noisy):,} points and {path} has {len(cloud):,}, but row i of each must be the same "
                "point; give clouds of which no row was dropped, added or sorted, such as `pcdenoise denoise` writes"
            )
    rows = np.logical_and.reduce([cloud.finite for cloud in clouds.values()])
    if not rows.any():
        raise InputError(f"no row is finite in each of {', '.join(map(str, clouds))}; check how they were exported")
    return np.asarray(rows)


def _check_moved(options: argparse.Namespace, noisy: "NDArray[np.float64]", denoised: "NDArray[np.float64]") -> None:
    from pcdenoise.errors import InputError

    if (noisy == denoised).all():
        raise InputError(
            f"nothing moved: {options.noisy} and {options.denoised} are the same points; give the cloud after denoising"
        )
    # what rounding leaves of a shift is no noise either
    if (noisy - denoised).std(axis=0).max() <= 1e-6 * noisy.std(axis=0).max():
        raise InputError(
            f"{options.denoised} is {options.noisy} moved as a whole; give the cloud after denoising, in the same place"
        )


def _findings(removed: "ResidualCheck", noise: "ResidualCheck | None", unmoved: int) -> list[str]:
    """What the numbers say, in plain words."""
    alpha, normal = removed.alpha, removed.directions["normal"]
    failing, shifted, tested = removed.failing.sum(), removed.shifted.sum(), normal.tested
    low = f"{normal.low:.1%} have p <= {alpha:g}, where chance gives {alpha:.0%}"
    found = []
    if failing:
        found.append(
            f"Along the normal the residuals are not Gaussian in {failing:,} of {tested:,} neighbourhoods, and {low}: "
            f"something besides Gaussian noise was taken. (Mere noise fails somewhere in {alpha:.0%} of all clouds.)"
        )
    elif normal.low > alpha + 3 * math.sqrt(alpha * (1 - alpha) / max(tested, 1)):
        found.append(
            f"Along the normal no neighbourhood fails for certain, but {low}: a little besides Gaussian noise was "
            "taken."
        )
    else:
        found.append(
            "Along the normal the residuals are Gaussian in every neighbourhood, as far as the test can see: that is "
            "how mere noise looks."
        )
    if shifted:
        found.append(
            f"They are not about zero in {shifted:,} of {tested:,} neighbourhoods: the surface itself was moved, or "
            "neighbours share their noise."
        )
    share = (failing + shifted) / max(2 * tested, 1)
    if removed.suspect_curved - removed.suspect_flat > 7 * math.sqrt(share * (1 - share) / max(tested, 1)):
        found.append(
            f"It is where the surface bends: {removed.suspect_curved:.1%} of the quarter of the neighbourhoods that "
            f"bend most fail or are shifted, {removed.suspect_flat:.1%} of the others. Shape was taken from edges."
        )
    if abs(normal.mean) > max(0.05, 4 / math.sqrt(removed.points)) * normal.deviation:
        side, change = ("outside", "shrank") if normal.mean > 0 else ("inside", "swelled")
        found.append(
            f"On average the noisy points lie {abs(normal.mean / normal.deviation):.2f} std {side} the denoised ones: "
            f"the surface {change}, if its sides are told right."
        )
    if normal.p_value <= alpha and not failing:
        found.append(
            f"All {removed.points:,} together are not one Gaussian (skewness {normal.skewness:+.2f}, excess kurtosis "
            f"{normal.excess_kurtosis:+.2f}). So many show the smallest departure, and noise whose level varies from "
            "place to place has a positive excess kurtosis although it is Gaussian in each."
        )
    if unmoved:
        found.append(f"{unmoved:,} points did not move at all; residuals of exactly zero are not Gaussian.")
    if noise is not None:
        found.append(
            f"The noise itself (noisy - clean) is not Gaussian in {noise.failing.sum():,} of {tested:,} "
            f"neighbourhoods and not about zero in {noise.shifted.sum():,}, and {noise.directions['normal'].low:.1%} "
            f"have p <= {alpha:g}: so much is not the denoiser's doing."
        )
    return found


def _figures(check: "ResidualCheck") -> dict[str, Any]:
    """For JSON, which knows no NaN."""

    def known(values: dict[str, Any]) -> dict[str, Any]:
        return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in values.items()}

    shares = {"pass_rate": 1 - check.directions["normal"].failing}
    shares |= {"suspect_curved": check.suspect_curved, "suspect_flat": check.suspect_flat}
    return known(shares) | {"directions": {name: known(asdict(found)) for name, found in check.directions.items()}}


def _table(check: "ResidualCheck", title: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("\nalong", no_wrap=True)
    level = f"p <=\n{check.alpha:g}"
    for name in ("mean\n/ std", "\nstd", "\nskew", "excess\nkurtosis", "\np", level, "\nfails", "\nshifted"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in check.directions.items():
        table.add_row(
            name,
            f"{found.mean / found.deviation if found.deviation else 0:+.2f}",
            f"{found.deviation:.3g}",
            f"{found.skewness:+.2f}",
            f"{found.excess_kurtosis:+.2f}",
            "< 1e-5" if found.p_value < 1e-5 else f"{found.p_value:.2g}",
            f"{found.low:.1%}",
            f"{found.failing:.1%}",
            f"{found.shifted:.1%}",
        )
    return table


def _text(facts: dict[str, Any], tables: "list[Table]", findings: list[str]) -> str:
    from rich.console import Console

    skipped = f" ({facts['skipped']:,} without coordinates)" if facts["skipped"] else ""
    level, share = f"{facts['alpha']:g}", f"{facts['alpha']:.0%}"
    legend = (
        f"On the left all residuals together, with the Jarque-Bera test. On the right the neighbourhoods of "
        f"{facts['neighbours']} points: with p <= {level} ({share} by chance); not Gaussian, and not about zero, with "
        f"{share} false discoveries."
    )
    console = Console(markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(f"points {facts['points']:,}{skipped}\n")
        for table in tables:
            console.print(table)
        console.print(*(words + "\n" for words in (legend, *findings, LIMITS)), sep="\n")
    return captured.get().rstrip()
