"""Wavefront OBJ: the vertices are the points; every other line is kept, so that writing only moves vertices.

Vertex colours follow the coordinates (`v x y z r g b`), from 0 to 1.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns, table
from pcdenoise.io.colors import to_uint8

_VERTEX = (b"v ", b"v\t")


@dataclass(frozen=True)
class ObjLayout:
    """What an OBJ file said besides its vertices: stored as `obj_layout` in the metadata.

    Attributes:
        lines: the file line by line, with None in place of each vertex.
        extra: (n, k) what followed x y z on the vertex lines, as it was (colours, or a weight).
        colors: the bytes shown for `extra`, or None.
    """

    lines: tuple[bytes | None, ...]
    extra: NDArray[np.float64]
    colors: NDArray[np.uint8] | None


def read(path: Path) -> PointCloud:
    """Read the vertices as points; lines of other kinds stay in the metadata."""
    lines = path.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
    lines = lines[:-1] if not lines[-1] else lines
    rows = [i for i, line in enumerate(lines) if line.lstrip()[:2] in _VERTEX]
    if not rows:
        raise InputError("no vertex (a line that begins with 'v'); this OBJ file holds no points")
    values = _numbers([lines[i] for i in rows], rows)
    if values.shape[1] not in (3, 4, 6, 7):
        raise InputError(f"line {rows[0] + 1}: a vertex cannot have {values.shape[1]} values; export the file again")
    extra = values[:, 3:]
    colors = None
    if extra.shape[1] in (3, 4):
        wide = extra[:, -3:]
        colors = to_uint8(wide) if not columns.fits(wide, np.uint8) or wide.max() <= 1 else wide.astype(np.uint8)
    kept: list[bytes | None] = list(lines)
    for i in rows:
        kept[i] = None
    attributes: dict[str, NDArray[Any]] = {} if colors is None else {"colors": colors}
    return PointCloud(values[:, :3], attributes, {"obj_layout": ObjLayout(tuple(kept), extra, colors)})


def write(cloud: PointCloud, path: Path) -> None:
    """Write the source file with its vertices moved; a new file holds vertices and their colours."""
    columns.drop(cloud.attributes.keys() - {"colors"}, "OBJ")
    layout: ObjLayout | None = cloud.metadata.get("obj_layout")
    if layout is not None and len(layout.extra) != len(cloud):
        warnings.warn("the number of points changed: the other lines of the OBJ file are left out", stacklevel=3)
        layout = None
    extra = np.empty((len(cloud), 0))
    if "colors" in cloud.attributes:
        colors = to_uint8(cloud.attributes["colors"])
        extra = colors / 255.0
        if layout is not None and layout.colors is not None:
            same = (colors == layout.colors).all(axis=1)[:, None]
            scale = 255.0 if layout.extra[:, -3:].max() > 1 else 1.0
            extra = np.where(same, layout.extra[:, -3:], extra * scale)
            extra = np.column_stack([layout.extra[:, :-3], extra])
    elif layout is not None and layout.extra.shape[1] == 1:
        extra = layout.extra
    vertices = b"".join(table.rows([*cloud.points.T, *extra.T])).split(b"\n")[:-1]
    lines = layout.lines if layout is not None else (None,) * len(cloud)
    after = iter(vertices)
    with path.open("wb") as file:
        file.writelines(b"v " + next(after) + b"\n" if line is None else line + b"\n" for line in lines)


def _numbers(lines: list[bytes], rows: list[int]) -> NDArray[np.float64]:
    """The values of all vertex lines; an error names the line of the file."""
    text = b"\n".join(line.lstrip()[2:] for line in lines)
    try:
        found = table.parse(text)
    except InputError:
        first = 0
        for line, row in zip(lines, rows, strict=True):
            words = line.decode("latin-1").split("#")[0].split()[1:]
            first = first or len(words)
            wrong = next((word for word in words if not table.is_number(word)), None)
            if wrong is not None:
                raise InputError(f"line {row + 1}: {wrong[:40]!r} is not a number; correct that line") from None
            if len(words) != first:
                raise InputError(f"line {row + 1} has {len(words)} values where {first} were expected") from None
        raise
    if len(found[0]) != len(rows):
        raise InputError(f"{len(rows) - len(found[0])} of {len(rows)} vertex lines are empty; export the file again")
    return np.column_stack([values.astype(np.float64) for values in found])
