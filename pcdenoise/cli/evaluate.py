"""Measure a result against the clean cloud, and against the mesh where there is one.

Beside the result stand the noisy cloud (--noisy) and, with a mesh, the floor: `projection` is an oracle that projects
the noisy points onto the mesh, `sampling` another clean sampling of it. Nothing honest is better than they are.
RESULT, --clean, --mesh and --noisy may all be folders: files of the same name belong together, and means are printed.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdenoise.metrics.evaluation import Evaluation

AFTER_INTERRUPT = "nothing was changed"
ARROWS = {"lower": "↓", "higher": "↑", "zero": "→0", "none": ""}
PLAIN_ARROWS = {"lower": "v", "higher": "^", "zero": ">0", "none": ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("result", type=Path, metavar="RESULT", help="the cloud to judge, or a folder of clouds")
    parser.add_argument("--clean", type=Path, metavar="CLOUD", required=True, help="the truth, in the same unit")
    parser.add_argument("--mesh", type=Path, metavar="MESH", help="the surface that the clean cloud is a sampling of")
    parser.add_argument("--noisy", type=Path, metavar="NOISY", help="what the result was made from, row by row")
    parser.add_argument("--backend", choices=("exact", "pytorch3d"), default="exact", help="of chamfer and p2m")
    parser.add_argument("--no-floor", action="store_true", help="leave the floor out: a third of the time")
    parser.add_argument("--json", action="store_true", help="print as JSON: one key a metric, in the printed unit")


def run(options: argparse.Namespace) -> None:
    """Read, measure, print."""
    from pcdenoise.errors import UsageError

    given = {"RESULT": options.result, "--clean": options.clean, "--mesh": options.mesh, "--noisy": options.noisy}
    paths = {name: path for name, path in given.items() if path is not None}
    folders = [name for name, path in paths.items() if path.is_dir()]
    if folders and len(folders) < len(paths):
        file = next(name for name in paths if name not in folders)
        raise UsageError(f"{folders[0]} is a folder and {file} is not; give files only, or folders only")
    shapes = _pairs(paths) if folders else {options.result.stem: paths}

    from pcdenoise.cli.progress import progress_bar

    found = {}
    with progress_bar("measuring") as advance:
        for name, files in shapes.items():
            found[name] = _evaluation(files, backend=options.backend, floor=not options.no_floor)
            advance(len(found) / len(shapes))
    if options.json:
        print(json.dumps(_report(options.result, found, many=bool(folders)), allow_nan=False))
    else:
        print("\n".join(_lines(options.result, found)))


def _pairs(folders: dict[str, Path]) -> dict[str, dict[str, Path]]:
    """Name -> option -> file: the results, and what has the same name without suffix in the other folders."""
    import warnings

    from pcdenoise.datasets.mesh_files import MESH_SUFFIXES
    from pcdenoise.errors import InputError
    from pcdenoise.io import FORMATS

    files: dict[str, dict[str, Path]] = {}
    for option, folder in folders.items():
        suffixes = MESH_SUFFIXES if option == "--mesh" else FORMATS
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
        files[option] = {path.stem: path for path in paths}
        if len(files[option]) < len(paths):
            twice = next(a.stem for a, b in pairwise(paths) if a.stem == b.stem)
            raise InputError(f"{folder} has several files named {twice}; keep one of them")
    results = files["RESULT"]
    if not results:
        raise InputError(f"{folders['RESULT']} holds no point clouds; known suffixes are {' '.join(FORMATS)}")
    for option, folder in folders.items():
        if missing := sorted(results.keys() - files[option].keys()):
            raise InputError(f"{folder} has no file named {_listed(missing)}, as RESULT has; name them alike")
    if unanswered := sorted(files["--clean"].keys() - results.keys()):
        fact = f"{folders['RESULT']} has no result for {_listed(unanswered)}"
        warnings.warn(f"{fact}; the means are over the other {len(results)}", stacklevel=2)
    return {name: {option: files[option][name] for option in folders} for name in results}


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _evaluation(paths: dict[str, Path], *, backend: Any, floor: bool) -> "Evaluation":
    from pcdenoise.datasets.mesh_files import read_mesh
    from pcdenoise.errors import InputError
    from pcdenoise.io import read
    from pcdenoise.metrics.evaluation import evaluate

    clouds = {option: read(path) for option, path in paths.items() if option != "--mesh"}
    mesh = read_mesh(paths["--mesh"]) if "--mesh" in paths else None
    noisy = clouds["--noisy"].points if "--noisy" in clouds else None
    clean = clouds["--clean"]
    try:
        return evaluate(
            clouds["RESULT"].points,
            clean.points,
            mesh,
            noisy,
            clean.attributes.get("normals"),
            floor=floor,
            backend=backend,
        )
    except InputError as error:
        raise InputError(f"{paths['RESULT']}: {error}") from error


def _report(result: Path, found: dict[str, "Evaluation"], *, many: bool) -> dict[str, Any]:
    from pcdenoise.metrics.table import METRICS

    columns = _means(found)
    units = {metric.name: metric.unit.text for metric in METRICS if metric.name in columns["result"]}
    report: dict[str, Any] = {"path": str(result), **_counts(found), **columns.pop("result"), **columns, "units": units}
    if many:
        report["shapes"] = {
            name: {**_counts({name: one}), "radius": one.radius, **one.result, **one.beside}
            for name, one in found.items()
        }
    return {key: _without_nan(value) for key, value in report.items()}


def _counts(found: dict[str, "Evaluation"]) -> dict[str, int]:
    return {key: sum(getattr(one, key) for one in found.values()) for key in ("points", "left_out", "not_finite")}


def _means(found: dict[str, "Evaluation"]) -> dict[str, dict[str, float]]:
    """Column -> metric -> mean over the shapes that have it; NaN where one of them is."""
    columns: dict[str, dict[str, list[float]]] = {}
    for one in found.values():
        for column, numbers in {"result": one.result, **one.beside}.items():
            for name, number in numbers.items():
                columns.setdefault(column, {}).setdefault(name, []).append(number)
    return {
        column: {name: math.fsum(values) / len(values) for name, values in numbers.items()}
        for column, numbers in columns.items()
    }


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null says that a number is not defined."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(result: Path, found: dict[str, "Evaluation"]) -> Iterable[str]:
    from pcdenoise.metrics.table import METRICS

    counts, columns = _counts(found), _means(found)
    shapes = f"mean over {len(found)} shapes, " if len(found) > 1 else ""
    left_out = f", {counts['left_out']:,} without coordinates left out" if counts["left_out"] else ""
    lost = f", {counts['not_finite']:,} NaN or infinite" if counts["not_finite"] else ""
    yield f"{result}: {shapes}{counts['points']:,} points{left_out}{lost}"
    arrows = ARROWS if _can_print(ARROWS["lower"]) else PLAIN_ARROWS
    yield f"{'':<27}{'unit':<10}" + "".join(f"{column:>12}" for column in columns)
    for metric in METRICS:
        if metric.name in columns["result"]:
            cells = "".join(f"{_cell(numbers.get(metric.name)):>12}" for numbers in columns.values())
            having = sum(metric.name in one.result for one in found.values())
            some = "" if having == len(found) else f"  ({having} of {len(found)} shapes)"
            yield f"{metric.name:<24}{arrows[metric.direction]:<3}{metric.unit.text:<10}{cells}{some}"
    yield "R is the radius of the clean cloud, or of the mesh; 1e-2 R is 1 % of it. See docs/metrics.md."
    if len(found) > 1:
        yield f"\n{'':<24}{'chamfer':>12}{'p2m':>12}"
        for name, one in found.items():
            yield f"{name:<24}" + "".join(f"{_cell(one.result.get(key)):>12}" for key in ("chamfer", "p2m"))


def _cell(number: float | None) -> str:
    return "" if number is None else f"{round(number, 3) + 0.0:.3f}"


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
