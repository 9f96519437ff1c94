"""PLY, ASCII and binary of both byte orders (Greg Turk's format, 1994).

Every property keeps its type and bits, lists included; comments, obj_info and all other elements (faces, edges,
cameras) are written back as they were. Our own reader, because plyfile parses ASCII and lists at 10 microseconds a
value, refuses comments that are not ASCII and moves those it accepts; the tests compare with plyfile.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns, table

Values = NDArray[Any]

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"int64": "i8", "uint64": "u8", "float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
_NAMES = {
    **{"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint"},
    **{"f4": "float", "f8": "double"},
}
_FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_VERTICES = ("vertex", "vertices", "point", "points")


@dataclass(frozen=True)
class _Property:
    name: str
    type: str
    length: str | None = None
    line: str = ""

    def __str__(self) -> str:
        if self.line:
            return self.line
        return f"property {f'list {_NAMES[self.length]} ' if self.length else ''}{_NAMES[self.type]} {self.name}"


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


@dataclass(frozen=True)
class PlyLayout:
    """What a PLY file said besides its points: stored as `ply_layout` in the metadata.

    Attributes:
        lines: the header, line by line.
        order: byte order, "<" or ">"; empty for ASCII.
        newline: how the header's lines end.
        elements: all elements, in order.
        vertices: the name of the element that holds the points.
        places: what each of its properties is in the cloud.
        others: element -> one array per property, for every other element.
    """

    lines: tuple[str, ...]
    order: str
    newline: str
    elements: tuple[_Element, ...]
    vertices: str
    places: tuple[columns.Column, ...]
    others: dict[str, list[Values]]


def read(path: Path) -> PointCloud:
    """Read a PLY file; `colors`, `normals` and scalar properties become attributes, list properties too."""
    data = path.read_bytes()
    lines, order, newline, elements, at = _read_header(data)
    vertices = next((element for name in _VERTICES for element in elements if element.name == name), None)
    if vertices is None:
        raise InputError("the header has no element 'vertex'; this PLY file holds no points")
    arrays: dict[str, list[Values]] = {}
    if order:
        for element in elements:
            arrays[element.name], at = _read_binary(data, at, element, order)
        rest = len(data) - at
        if data[at:].strip(b"\r\n \0"):
            raise InputError(f"{rest} bytes follow the last element; the header does not describe this file")
    else:
        arrays = _read_ascii(data[at:], elements, len(lines) + 1)
    found = arrays.pop(vertices.name)
    names = [p.name for p in vertices.properties]
    places = columns.assign(names, [values.dtype for values in found])
    points, attributes = columns.gather(places, found)
    layout = PlyLayout(tuple(lines), order, newline, tuple(elements), vertices.name, tuple(places), arrays)
    return PointCloud(points, attributes, {"ply_layout": layout})


def write(cloud: PointCloud, path: Path) -> None:
    """Write a PLY file in the source file's encoding and layout; a new one is binary, little endian, with doubles."""
    layout = cloud.metadata.get("ply_layout") or PlyLayout(
        ("ply", "format binary_little_endian 1.0", "element vertex 0", "end_header"),
        "<",
        "\n",
        (_Element("vertex", len(cloud), ()),),
        "vertex",
        (),
        {},
    )
    elements = layout.elements
    count = next(element.count for element in elements if element.name == layout.vertices)
    if count != len(cloud) and layout.others:
        warnings.warn("the number of points changed: faces and other PLY elements are left out", stacklevel=3)
        elements = tuple(element for element in elements if element.name == layout.vertices)
    properties, values = _typed(cloud, layout)
    with path.open("wb") as file:
        file.write(_header(layout, elements, properties, len(cloud)))
        for element in elements:
            if element.name == layout.vertices:
                file.writelines(_body(properties, values, layout.order))
            else:
                file.writelines(_body(element.properties, layout.others[element.name], layout.order))


def _read_header(data: bytes) -> tuple[list[str], str, str, list[_Element], int]:
    start = re.match(rb"ply[ \t]*(\r\n|\n|\r)", data)
    if start is None:
        raise InputError("the first line is not 'ply'; this is not a PLY file, rename or export it")
    newline = start[1].decode()
    end = re.search(rb"[\r\n]end_header[ \t]*(" + start[1] + rb"|$)", data)
    if end is None:
        raise InputError("the header has no end_header; the file is cut off, copy or download it again")
    lines = data[: end.end()].decode("latin-1").rstrip("\r\n").split(newline)
    order: str | None = None
    elements: list[tuple[str, int, list[_Property]]] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        try:
            match words:
                case ["format", kind, "1.0"]:
                    order = _FORMATS[kind]
                case ["element", name, count] if int(count) >= 0:
                    elements.append((name, int(count), []))
                case ["property", "list", length, kind, name]:
                    elements[-1][2].append(_Property(name, _TYPES[kind], _TYPES[length], line.strip()))
                case ["property", kind, name]:
                    elements[-1][2].append(_Property(name, _TYPES[kind], None, line.strip()))
                case [] | ["ply"] | ["comment", *_] | ["obj_info", *_] | ["end_header"]:
                    pass
                case _:
                    raise KeyError(line)
        except (KeyError, IndexError, ValueError):
            raise InputError(f"line {number}: {line.strip()!r} is no valid PLY header line; export again") from None
    if order is None:
        raise InputError("the header names no format; export the file again")
    for name, _, properties in elements:
        if len({p.name for p in properties}) != len(properties):
            raise InputError(f"element {name!r} has two properties of one name; export the file again")
    if len({name for name, _, _ in elements}) != len(elements):
        raise InputError("two elements have one name; export the file again")
    return lines, order, newline, [_Element(name, count, tuple(p)) for name, count, p in elements], end.end()


def _read_binary(data: bytes, at: int, element: _Element, order: str) -> tuple[list[Values], int]:
    """Read one element; rows whose lists all have the first row's lengths (triangles) take no loop."""
    fields: list[Any] = []
    probe = at
    for i, p in enumerate(element.properties):
        if p.length is not None and element.count:
            length = _number(data, probe, order + p.length, element, 0)
            fields += [(f"n{i}", order + p.length), (f"v{i}", order + p.type, (length,))]
            probe += int(p.length[1]) + length * int(p.type[1])
        else:
            fields.append((f"v{i}", order + p.type))
            probe += int(p.type[1])
    row = np.dtype(fields)
    lengths = [name for name, *_ in fields if name.startswith("n")]
    has_lists = any(p.length for p in element.properties)
    if len(data) - at >= element.count * row.itemsize:
        rows = np.frombuffer(data, row, element.count, at)
        if all((rows[name] == rows["v" + name[1:]].shape[1]).all() for name in lengths):
            return [_native(rows[f"v{i}"]) for i in range(len(element.properties))], at + rows.nbytes
    if not has_lists:
        complete = (len(data) - at) // row.itemsize
        raise InputError(
            f"the header promises {element.count} {element.name} rows, the file holds {complete}; copy it again"
        )
    return _read_uneven(data, at, element, order)


def _read_uneven(data: bytes, at: int, element: _Element, order: str) -> tuple[list[Values], int]:
    least = sum(int((p.length or p.type)[1]) for p in element.properties)
    if element.count * least > len(data) - at:
        raise InputError(f"the header promises {element.count} {element.name} rows, more than the file holds")
    lists: list[list[Any]] = [[] for _ in element.properties]
    for k in range(element.count):
        for p, values in zip(element.properties, lists, strict=True):
            length = 1
            if p.length is not None:
                length = _number(data, at, order + p.length, element, k)
                at += int(p.length[1])
            size = length * int(p.type[1])
            if at + size > len(data):
                raise InputError(f"the file ends in row {k} of {element.count} of {element.name!r}; copy it again")
            part = _native(np.frombuffer(data, order + p.type, length, at))
            values.append(part if p.length is not None else part[0])
            at += size
    return [_collect(p, values) for p, values in zip(element.properties, lists, strict=True)], at


def _number(data: bytes, at: int, kind: str, element: _Element, row: int) -> int:
    size = int(kind[-1])
    if at + size > len(data):
        raise InputError(f"the file ends in row {row} of {element.count} of {element.name!r}; copy it again")
    length = int(np.frombuffer(data, kind, 1, at)[0])
    if length < 0:
        raise InputError(f"row {row} of {element.name!r} has a list of length {length}; the file is corrupt")
    return length


def _collect(p: _Property, values: list[Any]) -> Values:
    """One array per property: (n,) scalars, (n, k) lists of one length, (n,) objects for lists of several."""
    if p.length is None:
        return np.array(values, dtype=p.type)
    if len({len(value) for value in values}) == 1:
        return np.array(values, dtype=p.type)
    collected = np.empty(len(values), dtype=object)
    collected[:] = values
    return collected


def _native(values: Values) -> Values:
    return values.astype(values.dtype.newbyteorder("="))


def _read_ascii(body: bytes, elements: Sequence[_Element], first_line: int) -> dict[str, list[Values]]:
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not body.endswith(b"\n"):
        body += b"\n"
    ends = np.flatnonzero(np.frombuffer(body, dtype=np.uint8) == ord("\n")) + 1
    starts = np.concatenate([[0], ends])
    arrays: dict[str, list[Values]] = {}
    row = 0
    for element in elements:
        if row + element.count > len(ends):
            raise InputError(
                f"the header promises {element.count} {element.name} rows, the file holds {len(ends) - row}; "
                "copy or export it again"
            )
        part = body[starts[row] : starts[row + element.count]]
        arrays[element.name] = _read_rows(part, element, first_line + row)
        row += element.count
    if body[starts[row] :].strip():
        raise InputError(f"line {first_line + row}: rows follow the last element; the header does not describe them")
    return arrays


def _read_rows(text: bytes, element: _Element, first_line: int) -> list[Values]:
    if not element.properties or not element.count:
        return [np.empty(0, p.type) for p in element.properties]
    has_lists = any(p.length for p in element.properties)
    try:
        found = table.parse(text, first_line=first_line)
    except InputError:
        if not has_lists:
            raise
        return _read_uneven_rows(text, element, first_line)
    if len(found[0]) != element.count:
        raise InputError(f"the header promises {element.count} {element.name} rows, the file holds {len(found[0])}")
    arrays: list[Values] = []
    at = 0
    for p in element.properties:
        if p.length is None:
            arrays.append(_typed_column(found[at : at + 1], p, element, first_line)[:, 0])
            at += 1
            continue
        lengths = found[at] if at < len(found) else np.array([-1])
        if (lengths != lengths[0]).any() or lengths[0] < 1 or at + int(lengths[0]) >= len(found):
            return _read_uneven_rows(text, element, first_line)
        arrays.append(_typed_column(found[at + 1 : at + 1 + int(lengths[0])], p, element, first_line))
        at += 1 + int(lengths[0])
    if at != len(found):
        raise InputError(f"line {first_line}: {len(found)} values in a row of {element.name!r}, {at} were expected")
    return arrays


def _typed_column(found: Sequence[Values], p: _Property, element: _Element, first_line: int) -> Values:
    if not found:
        raise InputError(f"line {first_line}: no value for property {p.name!r} of {element.name!r}; export again")
    values = np.column_stack(list(found))
    if p.type[0] != "f" and not columns.fits(values, p.type):
        raise InputError(f"property {p.name!r} of {element.name!r} has values its type cannot hold; export again")
    return values.astype(p.type)


def _read_uneven_rows(text: bytes, element: _Element, first_line: int) -> list[Values]:
    lists: list[list[Any]] = [[] for _ in element.properties]
    for number, line in enumerate(text.decode("latin-1").splitlines(), first_line):
        words = iter(line.split())
        try:
            for p, values in zip(element.properties, lists, strict=True):
                if p.length is None:
                    values.append(np.array([next(words)]).astype(p.type)[0])
                else:
                    values.append(np.array([next(words) for _ in range(int(next(words)))], dtype="U").astype(p.type))
        except (StopIteration, RuntimeError, ValueError, OverflowError):
            raise InputError(f"line {number} is not a row of {element.name!r}; export the file again") from None
        if next(words, None) is not None:
            raise InputError(f"line {number} has more values than a row of {element.name!r}; export the file again")
    return [_collect(p, values) for p, values in zip(element.properties, lists, strict=True)]


def _legal(name: str) -> str:
    return re.sub(r"[^!-~]", "_", name) or "_"


def _typed(cloud: PointCloud, layout: PlyLayout) -> tuple[list[_Property], list[Values]]:
    """The vertex properties to write and their values, each in a type of PLY that holds them exactly."""
    element = next(element for element in layout.elements if element.name == layout.vertices)
    before = {p.name: p for p in element.properties}
    properties: list[_Property] = []
    arrays: list[Values] = []
    dropped: list[str] = []
    for column, values in columns.spread(cloud, layout.places, _legal):
        p = before.get(column.name)
        kind = _kind(values, column, p)
        if kind is None or (p is None and values.ndim > 1):
            dropped.append(column.name)
            continue
        if p is None or p.type != kind:
            p = _Property(column.name, kind, p.length if p else None)
        properties.append(p)
        arrays.append(values if values.dtype == object else values.astype(kind))
    columns.drop(dropped, "PLY")
    return properties, arrays


def _kind(values: Values, column: columns.Column, p: _Property | None) -> str | None:
    if values.dtype == object:
        return p.type if p else None
    if column.attribute is None:
        return columns.coordinate_type(values, p.type if p else np.float64).str[1:]
    if p is not None and columns.fits(values, p.type):
        return p.type
    own = values.dtype.str[1:]
    if own in _NAMES:
        return own
    return next((kind for kind in ("u1", "i4", "u4", "f4", "f8") if columns.fits(values, kind)), None)


def _header(layout: PlyLayout, elements: Sequence[_Element], properties: Sequence[_Property], count: int) -> bytes:
    """The source header with the points' properties and count brought up to date."""
    kept = {element.name for element in elements}
    out: list[str] = []
    current = ""
    for line in layout.lines:
        words = line.split()
        if words[:1] == ["element"]:
            current = words[1]
        if words[:1] == ["end_header"]:
            current = ""
        if current and current not in kept:
            continue
        if current == layout.vertices and words[:1] == ["property"]:
            continue
        if current == layout.vertices and words[:1] == ["element"]:
            out += [f"element {current} {count}", *map(str, properties)]
        else:
            out.append(line)
    return (layout.newline.join(out) + layout.newline).encode("latin-1")


def _body(properties: Sequence[_Property], arrays: Sequence[Values], order: str) -> Iterator[bytes]:
    uneven = any(values.dtype == object for values in arrays)
    if not arrays or not len(arrays[0]):
        return
    if order and not uneven:
        yield _packed(properties, arrays, order)
    elif order:
        for k in range(len(arrays[0])):
            yield b"".join(_packed_value(p, values[k], order) for p, values in zip(properties, arrays, strict=True))
    elif not uneven:
        flat: list[Values] = []
        for p, values in zip(properties, arrays, strict=True):
            if p.length is not None:
                flat.append(np.full(len(values), values.shape[1]))
            flat += list(values.reshape(len(values), -1).T)
        yield from table.rows(flat)
    else:
        for k in range(len(arrays[0])):
            words: list[str] = []
            for p, values in zip(properties, arrays, strict=True):
                value = np.atleast_1d(values[k])
                words += ([str(len(value))] if p.length else []) + table.spell(value)
            yield (" ".join(words) + "\n").encode()


def _packed(properties: Sequence[_Property], arrays: Sequence[Values], order: str) -> bytes:
    fields: list[Any] = []
    for i, (p, values) in enumerate(zip(properties, arrays, strict=True)):
        if p.length is None:
            fields.append((f"v{i}", order + p.type))
        else:
            fields += [(f"n{i}", order + p.length), (f"v{i}", order + p.type, values.shape[1:])]
    rows = np.empty(len(arrays[0]), np.dtype(fields))
    for i, (p, values) in enumerate(zip(properties, arrays, strict=True)):
        rows[f"v{i}"] = values
        if p.length is not None:
            rows[f"n{i}"] = values.shape[1]
    return rows.tobytes()


def _packed_value(p: _Property, value: Any, order: str) -> bytes:
    data = np.asarray(value, dtype=order + p.type).tobytes()
    if p.length is None:
        return data
    return np.array(len(value), dtype=order + p.length).tobytes() + data
