"""Look at clouds side by side: coloured by error, displacement or an attribute, and in section.

Without --render it opens windows, with linked cameras; docs/viewing.md has the keys. With --render it makes the same
picture without a screen and without a graphics driver; it needs no Debian package.

--color is error (the distance to --reference), displacement (from row i of the first cloud), plain, or an attribute.
"""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdenoise.cloud import PointCloud
    from pcdenoise.viewer.colouring import Reference
    from pcdenoise.viewer.section import Section

AFTER_INTERRUPT = "no picture is half written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "clouds", type=Path, nargs="+", metavar="CLOUD", help="from left to right, such as before, after"
    )
    parser.add_argument("--reference", type=Path, metavar="FILE", help="the true cloud, or the mesh of the surface")
    parser.add_argument(
        "--color", metavar="NAME", help="default: error with a reference, else displacement if possible"
    )
    parser.add_argument("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="ends of the colour bar")
    parser.add_argument("--slice", metavar="AXIS[=AT]", help="the section: across x, y or z, for instance z=1.5")
    parser.add_argument("--thickness", type=float, metavar="LENGTH", help="of the slice, in the cloud's unit")
    parser.add_argument(
        "--unit", default="file units", metavar="WORD", help="what the coordinates count, for the labels"
    )
    parser.add_argument(
        "--point-size", type=float, metavar="PIXELS", help="in the windows; their keys + and - change it"
    )
    parser.add_argument("--render", type=Path, metavar="PNG", help="make a picture instead of opening windows")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing picture")


def run(options: argparse.Namespace) -> None:
    """Read, then show or draw."""
    _check_values(options)

    from pcdenoise.viewer.figure import check_picture

    if options.render is not None:
        check_picture(options.render, overwrite=options.overwrite)
    clouds = _clouds(options.clouds)
    reference = None if options.reference is None else _reference(options.reference)
    section = None if options.slice is None else _section(options.slice, options.thickness, clouds)
    limits = None if options.range is None else tuple(options.range)
    shared = {"reference": reference, "unit": options.unit, "limits": limits, "section": section}
    by = None if options.color == "plain" else options.color

    if options.render is not None:
        from pcdenoise.viewer.sheet import AUTO, comparison_sheet

        comparison_sheet(clouds, options.render, by=by if options.color else AUTO, **shared)
        print(f"written          {options.render}")
        return
    from pcdenoise.viewer.keys import MEANINGS
    from pcdenoise.viewer.window import show

    show(clouds, by=by, point_size=options.point_size, opened=lambda: print(_table(MEANINGS), flush=True), **shared)


def _table(meanings: dict[str, str]) -> str:
    rows = (f"{key:<16} {meaning}" for key, meaning in meanings.items())
    return "\n".join((*rows, f"{'H':<16} all others: open3d's own, listed here"))


def _check_values(options: argparse.Namespace) -> None:
    from pcdenoise.errors import UsageError

    for name in ("thickness", "point_size"):
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UsageError(f"{name.replace('_', '-')} is {value}; give a positive number")
    if options.thickness is not None and options.slice is None:
        raise UsageError("--thickness is that of a slice; say where: --slice z")
    if options.range is not None and not -math.inf < options.range[0] < options.range[1] < math.inf:
        raise UsageError("the range is empty; give --range LOW HIGH, the lower end first")
    if options.color == "error" and options.reference is None:
        raise UsageError("there is nothing to take the error to; give the true cloud or mesh: --reference FILE")


def _clouds(paths: list[Path]) -> "dict[str, PointCloud]":
    """Name -> cloud: the files' names, or as much of their paths as tells them apart."""
    from pcdenoise.errors import UsageError
    from pcdenoise.io import read

    names = [path.name for path in paths]
    if len(set(names)) < len(paths):
        names = [str(path) for path in paths]
    if len(set(names)) < len(paths):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{twice} is named twice; name each cloud once")
    return {name: read(path) for name, path in zip(names, paths, strict=True)}


def _reference(path: Path) -> "Reference":
    """A mesh where the file has faces, else a cloud."""
    from pcdenoise.datasets.mesh_files import MESH_SUFFIXES, find_mesh
    from pcdenoise.io import read

    cloud = read(path)  # says what is wrong with it
    mesh = find_mesh(path) if path.suffix.lower() in MESH_SUFFIXES else None
    return cloud if mesh is None else mesh


def _section(words: str, thickness: float | None, clouds: "dict[str, PointCloud]") -> "Section":
    import numpy as np

    from pcdenoise.errors import InputError, UsageError
    from pcdenoise.viewer.section import Section

    name, _, place = words.partition("=")
    try:
        axis, position = "xyz".index(name.lower() or "?"), float(place) if place else None
    except ValueError:
        raise UsageError(f"--slice is {words!r}; give x, y or z and where, for instance z=1.5") from None
    points = np.concatenate([cloud.points[cloud.finite] for cloud in clouds.values()])
    if len(points) == 0:
        raise InputError(f"{', '.join(clouds)}: no point is finite; check how they were exported")
    section = Section.across(points, axis, position, thickness)
    if not section.contains(points).any():
        low, high = points[:, axis].min(), points[:, axis].max()
        raise InputError(f"no point lies in the slice {words}; the clouds reach from {low:.6g} to {high:.6g}")
    return section
