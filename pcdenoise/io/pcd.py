"""PCD, the Point Cloud Library's format 0.7: ascii, binary and binary_compressed.

Every TYPE, SIZE and COUNT survives, padding `_` included. A packed `rgb` or `rgba` shows as `colors`, and keeps the
bits of its fourth byte. https://pointclouds.org/documentation/tutorials/pcd_file_format.html
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns, lzf, table

Values = NDArray[Any]

_KINDS = {"F": "f", "I": "i", "U": "u"}
_TYPES = {"f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
_ENCODINGS = ("ascii", "binary", "binary_compressed")
_PACKED = ("rgb", "rgba")
_COLORS, _PADDING = "\0rgb", "\0_"  # stand-ins for what is a field of the file and no attribute of the cloud


@dataclass(frozen=True)
class _Field:
    """One entry of FIELDS; `type` as numpy writes it."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class PcdLayout:
    """What a PCD file said besides its points: stored as `pcd_layout` in the metadata.

    Attributes:
        comments: the lines before VERSION.
        version, viewpoint, encoding: as in the header (VERSION, VIEWPOINT, DATA).
        width, height: of an organised cloud; height 1 otherwise.
        fields, places: in file order; what each field is and where it lives in the cloud.
        packed: (n,) uint32, the packed colours as they were, or None.
        padding: the (n, count) values of every `_` field.
    """

    comments: tuple[str, ...] = ("# .PCD v0.7 - Point Cloud Data file format",)
    version: str = "0.7"
    viewpoint: str = "0 0 0 1 0 0 0"
    encoding: str = "binary"
    width: int = 0
    height: int = 1
    fields: tuple[_Field, ...] = ()
    places: tuple[columns.Column, ...] = ()
    packed: NDArray[np.uint32] | None = None
    padding: tuple[tuple[str, Values], ...] = ()


def read(path: Path) -> PointCloud:
    """Read a PCD file; an organised cloud keeps its NaN rows, its width and its height."""
    data = path.read_bytes()
    layout, count, at, line = _read_header(data)
    if count == 0:
        raise InputError("the header says POINTS 0; record or export the cloud again")
    match layout.encoding:
        case "ascii":
            arrays = _read_ascii(data[at:], layout.fields, count, line)
        case "binary":
            arrays = _read_binary(data, at, layout.fields, count)
        case _:
            arrays = _read_compressed(data, at, layout.fields, count)
    return _assemble(layout, arrays)


def write(cloud: PointCloud, path: Path) -> None:
    """Write a PCD file in the source file's encoding and layout.

    A new file is binary; its coordinates are float32 where that is exact, else float64, with a warning: the PCL and
    Open3D's legacy reader only know float32.
    """
    layout: PcdLayout = cloud.metadata.get("pcd_layout") or PcdLayout()
    if not layout.fields and not columns.fits(cloud.points, np.float32):
        warnings.warn("PCD with float64 coordinates, which the PCL does not read; write .ply for it", stacklevel=3)
    if layout.width * layout.height != len(cloud):
        layout = replace(layout, width=len(cloud), height=1, packed=None, padding=())
    fields, arrays = _lay_out(cloud, layout)
    header = [
        *layout.comments,
        f"VERSION {layout.version}",
        "FIELDS " + " ".join(field.name for field in fields),
        "SIZE " + " ".join(field.type[1:] for field in fields),
        "TYPE " + " ".join(field.type[0].upper() for field in fields),
        "COUNT " + " ".join(str(field.count) for field in fields),
        f"WIDTH {layout.width}",
        f"HEIGHT {layout.height}",
        f"VIEWPOINT {layout.viewpoint}",
        f"POINTS {len(cloud)}",
        f"DATA {layout.encoding}",
    ]
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode("latin-1"))
        match layout.encoding:
            case "ascii":
                file.writelines(table.rows([part for values in arrays for part in values.T]))
            case "binary":
                rows = np.empty(len(cloud), _row(fields))
                for i, values in enumerate(arrays):
                    rows[f"f{i}"] = values
                file.write(rows.tobytes())
            case _:
                plain = b"".join(
                    values.astype("<" + f.type).tobytes() for f, values in zip(fields, arrays, strict=True)
                )
                packed = lzf.compress(plain)
                file.write(np.array([len(packed), len(plain)], dtype="<u4").tobytes() + packed)


def _read_header(data: bytes) -> tuple[PcdLayout, int, int, int]:
    """Layout, number of points, where the data start, and on which line."""
    found = re.search(rb"(?:^|\n)DATA[ \t]+(\w+)[ \t]*\r?\n", data)
    if found is None or found.start() > 1 << 20:
        raise InputError("no DATA line; this is not a PCD file, or it is cut off: copy or export it again")
    lines = data[: found.end()].decode("latin-1").splitlines()
    comments: list[str] = []
    entries: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        if words[0].startswith("#"):
            comments.append(line)
        elif words[0] in ("VERSION", "FIELDS", "COLUMNS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT",
                          "POINTS", "DATA"):  # fmt: skip
            entries["FIELDS" if words[0] == "COLUMNS" else words[0]] = words[1:]
        else:
            raise InputError(f"line {number}: {line.strip()[:40]!r} is no PCD header line; export the file again")
    for needed in ("FIELDS", "SIZE", "TYPE", "WIDTH"):
        if needed not in entries:
            raise InputError(f"the header has no {needed} line; export the file again")
    names = entries["FIELDS"]
    entries.setdefault("COUNT", ["1"] * len(names))
    if any(len(entries[key]) != len(names) for key in ("SIZE", "TYPE", "COUNT")):
        raise InputError("FIELDS, SIZE, TYPE and COUNT differ in length; export the file again")
    fields = []
    for name, size, kind, count in zip(names, entries["SIZE"], entries["TYPE"], entries["COUNT"], strict=True):
        code = _KINDS.get(kind, "?") + size
        if code not in _TYPES or not count.isdigit() or int(count) < 1:
            raise InputError(f"field {name!r} has TYPE {kind} SIZE {size} COUNT {count}; export the file again")
        fields.append(_Field(name, code, int(count)))
    width = _whole(entries["WIDTH"], "WIDTH")
    height = _whole(entries.get("HEIGHT", ["1"]), "HEIGHT")
    points = _whole(entries.get("POINTS", [str(width * height)]), "POINTS")
    if points != width * height:
        raise InputError(f"POINTS {points} is not WIDTH {width} times HEIGHT {height}; correct the header")
    encoding = found[1].decode()
    if encoding not in _ENCODINGS:
        raise InputError(f"unknown DATA {encoding}; known are {', '.join(_ENCODINGS)}")
    layout = PcdLayout(
        tuple(comments),
        " ".join(entries.get("VERSION", ["0.7"])),
        " ".join(entries.get("VIEWPOINT", ["0 0 0 1 0 0 0"])),
        encoding,
        width,
        height,
        tuple(fields),
    )
    return layout, points, found.end(), len(lines) + 1


def _whole(words: list[str], key: str) -> int:
    if len(words) != 1 or not words[0].isdigit():
        raise InputError(f"{key} {' '.join(words)} is not a whole number; correct the header")
    return int(words[0])


def _row(fields: Sequence[_Field]) -> np.dtype[Any]:
    return np.dtype([(f"f{i}", "<" + field.type, (field.count,)) for i, field in enumerate(fields)])


def _read_ascii(text: bytes, fields: Sequence[_Field], count: int, line: int) -> list[Values]:
    if not text.strip():
        raise InputError(f"the header promises {count} points, none follow; copy or export the file again")
    found = table.parse(text, first_line=line)
    if len(found[0]) != count:
        raise InputError(f"the header promises {count} points, {len(found[0])} follow; copy or export the file again")
    if len(found) != sum(field.count for field in fields):
        raise InputError(
            f"line {line}: {len(found)} values in a row, but FIELDS and COUNT say {sum(f.count for f in fields)}; "
            "export the file again"
        )
    arrays: list[Values] = []
    at = 0
    for field in fields:
        values = np.column_stack(found[at : at + field.count])
        at += field.count
        if field.name in _PACKED and field.type == "f4" and columns.fits(values, "u4") and values.max(initial=0) > 1:
            arrays.append(values.astype("u4").view("f4"))
            continue
        if field.type[0] != "f" and not columns.fits(values, field.type):
            raise InputError(f"field {field.name!r} has values its TYPE and SIZE cannot hold; export the file again")
        arrays.append(values.astype(field.type))
    return arrays


def _read_binary(data: bytes, at: int, fields: Sequence[_Field], count: int) -> list[Values]:
    row = _row(fields)
    _check_size(data, at, count * row.itemsize, count, row.itemsize)
    rows = np.frombuffer(data, row, count, at)
    return [rows[f"f{i}"].astype(field.type) for i, field in enumerate(fields)]


def _read_compressed(data: bytes, at: int, fields: Sequence[_Field], count: int) -> list[Values]:
    if len(data) < at + 8:
        raise InputError("the file ends after its header; copy or export it again")
    packed, plain = (int(size) for size in np.frombuffer(data, "<u4", 2, at))
    if plain != count * _row(fields).itemsize:
        raise InputError(f"the compressed block holds {plain} bytes, {count} points need another size; export it again")
    _check_size(data, at + 8, packed, count, max(packed // count, 1))
    expanded = lzf.decompress(data[at + 8 : at + 8 + packed], plain)
    arrays: list[Values] = []
    start = 0
    for field in fields:
        values = np.frombuffer(expanded, "<" + field.type, count * field.count, start).reshape(count, field.count)
        arrays.append(values.astype(field.type))
        start += values.nbytes
    return arrays


def _check_size(data: bytes, at: int, size: int, count: int, per_point: int) -> None:
    """The data are all there, and nothing but the zeros of a memory-mapped writer follows."""
    if len(data) - at < size:
        raise InputError(
            f"the header promises {count} points, the file holds {(len(data) - at) // per_point}; copy it again"
        )
    if data[at + size :].strip(b"\0\r\n "):
        raise InputError(f"{len(data) - at - size} bytes follow the last point; the header does not describe this file")


def _assemble(layout: PcdLayout, arrays: Sequence[Values]) -> PointCloud:
    """Name the fields; take packed colours apart and put padding aside."""
    fields = layout.fields
    special: dict[int, columns.Column] = {}
    packed: NDArray[np.uint32] | None = None
    padding: dict[str, Values] = {}
    attributes: dict[str, Values] = {}
    for i, (field, values) in enumerate(zip(fields, arrays, strict=True)):
        if field.name == "_":
            special[i] = columns.Column("_", f"{_PADDING}{i}")
            padding[f"{_PADDING}{i}"] = values
        elif field.name in _PACKED and field.type[1:] == "4" and field.count == 1 and packed is None:
            special[i] = columns.Column(field.name, _COLORS)
            packed = values[:, 0].view(np.uint32)
            attributes["colors"] = np.stack([packed >> 16, packed >> 8, packed], axis=1).astype(np.uint8)
            if field.name == "rgba":
                attributes["alpha"] = (packed >> 24).astype(np.uint8)
    plain = [i for i in range(len(fields)) if i not in special]
    names = [fields[i].name for i in plain]
    if len(set(names)) != len(names):
        raise InputError("two fields have one name; rename one in the header")
    places = columns.assign(names, [np.dtype((fields[i].type, (fields[i].count,))) for i in plain])
    for i, place in zip(plain, places, strict=True):
        if place.component is not None and fields[i].count > 1:
            raise InputError(
                f"field {fields[i].name!r} has COUNT {fields[i].count} instead of 1; export the file again"
            )
        clash = place.attribute in attributes
        special[i] = columns.Column(place.name, f"{place.name}_") if clash else place
    kept = [arrays[i][:, 0] if fields[i].count == 1 else arrays[i] for i in plain]
    points, found = columns.gather([special[i] for i in plain], kept)
    order = tuple(special[i] for i in range(len(fields)))
    layout = replace(layout, places=order, packed=packed, padding=tuple(padding.items()))
    return PointCloud(points, attributes | found, {"pcd_layout": layout})


def _lay_out(cloud: PointCloud, layout: PcdLayout) -> tuple[list[_Field], list[Values]]:
    """The fields to write, and their values as (n, count)."""
    attributes = columns.numeric(cloud.attributes, "PCD")
    places = list(layout.places)
    known = {place.attribute for place in places}
    colors = attributes.get("colors")
    if colors is not None and colors.dtype == np.uint8 and colors.shape[1:] == (3,) and "colors" not in known:
        has_alpha = any(place.attribute == _COLORS and place.name == "rgba" for place in places)
        alpha = attributes.pop("alpha", None) if has_alpha else None
        attributes[_COLORS] = _pack(attributes.pop("colors"), alpha, layout.packed)
        places += [] if _COLORS in known else [columns.Column("rgb", _COLORS)]
    for place in layout.places:
        if place.name == "_" and place.attribute is not None:
            width = layout.fields[layout.places.index(place)].count
            attributes[place.attribute] = dict(layout.padding).get(
                place.attribute, np.zeros((len(cloud), width), np.uint8)
            )
    for name, values in attributes.items():
        if name == "normals" and name not in known and values.shape[1:] == (3,):
            places += [columns.Column(f"normal_{axis}", name, i) for i, axis in enumerate("xyz")]
        elif values.ndim > 1 and name not in known and name not in columns.VECTORS:
            places.append(columns.Column(_legal(name), name))
    before = dict(zip(layout.places, layout.fields, strict=True))
    coordinates = "f4" if columns.fits(cloud.points, np.float32) else "f8"
    fields: list[_Field] = []
    arrays: list[Values] = []
    for place, values in columns.spread(PointCloud(cloud.points, attributes), places, _legal):
        source = before[place].type if place in before else None
        flat = values.reshape(len(values), -1)
        if place.attribute == _COLORS:
            as_float = flat.view(np.float32)
            kind = source or "f4"
            kind = "u4" if kind == "f4" and layout.encoding == "ascii" and np.isnan(as_float).any() else kind
            arrays.append(flat.view(kind))
        else:
            kind = _kind(flat, place, source, coordinates)
            arrays.append(flat.astype(kind))
        fields.append(_Field(place.name, kind, flat.shape[1]))
    return fields, arrays


def _pack(colors: NDArray[np.uint8], alpha: Values | None, before: NDArray[np.uint32] | None) -> NDArray[np.uint32]:
    """Colours as 0xAARRGGBB, with the upper byte of the source file where there is no alpha."""
    wide = colors.astype(np.uint32)
    upper = np.zeros(len(colors), np.uint32) if before is None else before >> 24
    if alpha is not None and columns.fits(alpha, np.uint8):
        upper = alpha.astype(np.uint32)
    return np.asarray(upper << 24 | wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2], dtype=np.uint32)


def _kind(values: Values, place: columns.Column, source: str | None, default: str) -> str:
    if place.attribute is None:
        return columns.coordinate_type(values, source or default).str[1:]
    if source is not None and columns.fits(values, source):
        return source
    return {"b1": "u1", "f2": "f4", "f16": "f8"}.get(values.dtype.str[1:], values.dtype.str[1:])


def _legal(name: str) -> str:
    return re.sub(r"[^!-~]", "_", name) or "field"
