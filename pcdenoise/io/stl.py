"""STL, binary and ASCII: corners at one place are one point, numbered in file order; writing moves the corners.

A binary file stores float32. A cloud that came without facets is written with one degenerate facet per point, as
ASCII where float32 would round its coordinates.
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns, table

_FACET = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_WORDS = b"facet normal . . . outer loop vertex . . . vertex . . . vertex . . . endloop endfacet".split()
_KEYWORDS = [i for i, word in enumerate(_WORDS) if word != b"."]
_BROKEN = "the facet that begins here is incomplete or not made of numbers; copy or export the file again"
_NUMBERS = [i for i, word in enumerate(_WORDS) if word == b"."]


@dataclass(frozen=True)
class StlLayout:
    """What an STL file said besides its points: stored as `stl_layout` in the metadata.

    Attributes:
        binary: else ASCII.
        header: 80 bytes, or the `solid` line.
        corners: (f, 3) the points of every facet.
        normals: (f, 3), as in the file; a facet whose corners move gets the normal of its plane.
        attributes: (f,) uint16, the two bytes behind a binary facet.
        points: (n, 3), to see which have moved.
    """

    binary: bool
    header: bytes
    corners: NDArray[np.int64]
    normals: NDArray[np.float64]
    attributes: NDArray[np.uint16]
    points: NDArray[np.float64]


def read(path: Path) -> PointCloud:
    """Read the corners of all facets as points, each place once."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    expected = 84 + count * _FACET.itemsize
    is_text = data.lstrip()[:5].lower() == b"solid" and len(data) != expected
    if is_text and re.search(rb"facet\s+normal|endsolid", data[:4096] + data[-4096:], re.IGNORECASE):
        header, normals, corners, attributes = _read_ascii(data)
    elif len(data) < 84 or len(data) < expected:
        raise InputError(
            f"the file ends after {max(len(data) - 84, 0) // _FACET.itemsize} of {count} facets; copy it again"
            if len(data) >= 84
            else "the file is too short for an STL file; copy or export it again"
        )
    elif len(data) > expected:
        raise InputError(f"{len(data) - expected} bytes follow the last facet; this is no STL file, export it again")
    else:
        facets = np.frombuffer(data, _FACET, count, 84)
        header, normals, corners = data[:80], facets["normal"], facets["corners"]
        attributes = facets["attribute"].copy()
    if not len(corners):
        raise InputError("there is no facet; export the file again")
    places = corners.reshape(-1, 3).astype(np.float64)
    number = np.repeat(np.arange(len(corners)), 3) if _degenerate(corners) else _merge(places)
    points = np.empty((number.max() + 1, 3))
    points[number[::-1]] = places[::-1]
    layout = StlLayout(not is_text, header, number.reshape(-1, 3), normals.astype(np.float64), attributes, points)
    return PointCloud(points, {}, {"stl_layout": layout})


def write(cloud: PointCloud, path: Path) -> None:
    """Write the source file's facets with moved corners, or one degenerate facet per point."""
    columns.drop(cloud.attributes.keys(), "STL")
    layout = _layout(cloud)
    corners = cloud.points[layout.corners]
    normals = layout.normals.copy()
    moved = (cloud.points != layout.points).any(axis=1)[layout.corners].any(axis=1)
    normals[moved] = _plane_normals(corners[moved])
    with path.open("wb") as file:
        if layout.binary:
            facets = np.zeros(len(corners), _FACET)
            facets["normal"], facets["corners"], facets["attribute"] = normals, corners, layout.attributes
            file.write(layout.header.ljust(80, b"\0")[:80] + len(facets).to_bytes(4, "little") + facets.tobytes())
        else:
            file.write(layout.header + b"\n")
            places = iter(_lines(corners.reshape(-1, 3)))
            for normal in _lines(normals):
                file.write(b"facet normal " + normal + b"\nouter loop\n")
                file.writelines(b"vertex " + next(places) + b"\n" for _ in range(3))
                file.write(b"endloop\nendfacet\n")
            file.write(b"end" + layout.header[:5].lower() + layout.header[5:] + b"\n")


def stored(cloud: PointCloud) -> int:
    """How many points a reader finds: corners that moved to one place become one."""
    layout = _layout(cloud)
    if _degenerate(layout.corners):
        return len(layout.corners)
    used = cloud.points[layout.corners.reshape(-1)]
    return int(_merge(used.astype(np.float32) if layout.binary else used).max()) + 1


def _layout(cloud: PointCloud) -> StlLayout:
    layout: StlLayout | None = cloud.metadata.get("stl_layout")
    if layout is not None and len(layout.points) == len(cloud):
        return layout
    if layout is not None:
        warnings.warn("the number of points changed: the facets of the STL file are left out", stacklevel=4)
    corners = np.repeat(np.arange(len(cloud))[:, None], 3, axis=1)
    binary = columns.fits(cloud.points, np.float32)
    zeros = np.zeros((len(cloud), 3))
    empty = np.zeros(len(cloud), np.uint16)
    return StlLayout(binary, b"" if binary else b"solid points", corners, zeros, empty, cloud.points)


def _read_ascii(data: bytes) -> tuple[bytes, NDArray[Any], NDArray[Any], NDArray[np.uint16]]:
    header = data.lstrip().split(b"\n", 1)[0].rstrip()
    if not re.search(rb"endsolid[^\n]*\s*\Z", data[-4096:], re.IGNORECASE):
        raise InputError("the file does not end with 'endsolid'; it is cut off, copy or export it again")
    words = np.array(re.sub(rb"(?mi)^[ \t]*(end)?solid\b.*$", b"", data).split(), dtype=np.bytes_)
    complete = len(words) // len(_WORDS)
    facets = words[: complete * len(_WORDS)].reshape(complete, len(_WORDS))
    right = (np.char.lower(facets[:, _KEYWORDS]) == np.array(_WORDS)[_KEYWORDS]).all(axis=1)
    if not right.all() or len(words) % len(_WORDS):
        raise InputError(f"line {_line(data, int((~right).argmax()) if not right.all() else complete)}: {_BROKEN}")
    try:
        values = facets[:, _NUMBERS].astype(np.float64).reshape(-1, 4, 3)
    except ValueError as error:
        wrong = next(i for i, facet in enumerate(facets) if not all(map(_is_number, facet[_NUMBERS])))
        raise InputError(f"line {_line(data, wrong)}: {_BROKEN} ({error})") from None
    return header, values[:, 0], values[:, 1:], np.zeros(len(values), np.uint16)


def _is_number(word: bytes) -> bool:
    return table.is_number(word.decode("latin-1"))


def _line(data: bytes, facet: int) -> int:
    """The line on which a facet begins, counting facets from 0."""
    starts = [found.start() for found in re.finditer(rb"(?i)\bfacet\s+normal", data)]
    return data[: starts[min(facet, len(starts) - 1)] if starts else 0].count(b"\n") + 1


def _merge(places: NDArray[Any]) -> NDArray[np.int64]:
    """The number of every place, by first appearance; equal coordinates share one, NaN equals NaN."""
    import pandas as pd

    number = np.zeros(len(places), dtype=np.int64)
    for axis in places.T:
        value = pd.factorize(axis, use_na_sentinel=False)[0].astype(np.int64)
        number = pd.factorize(number * (value.max() + 1) + value)[0].astype(np.int64)
    return number


def _degenerate(corners: NDArray[Any]) -> bool:
    """Whether every facet is a single point: what we write for a cloud that has no facets."""
    first = corners[:, :1]
    return bool(((corners == first) | ((corners != corners) & (first != first))).all())


def _plane_normals(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0))


def _lines(values: NDArray[np.float64]) -> list[bytes]:
    return b"".join(table.rows(list(values.T))).split(b"\n")[:-1]
