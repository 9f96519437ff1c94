"""Rows of numbers: XYZ, TXT, ASC, CSV and PTS.

Separator, decimal comma, header line, comments before the rows, count line, line ends and encoding are found by
looking, and written back the same. Columns are named by the header (plain or commented), else by `columns.unnamed`.
"""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns, table
from pcdenoise.io.colors import to_uint8

Values = NDArray[Any]

_SEPARATORS: tuple[tuple[str | None, str], ...] = (
    (";", "."),
    (";", ","),
    ("\t", "."),
    ("\t", ","),
    (",", "."),
    (None, "."),
    (None, ","),
)

_GRID_ROW = re.compile(rb"[ \t]*(?:0|1[ \t]+\d+)\s*")
_RANGE_GRID = re.compile(rb"(?m)(?:^[ \t]*(?:0|1[ \t]+\d+)[ \t\r]*(?:\n|\Z))+\Z")


@dataclass(frozen=True)
class TextLayout:
    """How the source file looked: stored as `text_layout` in the metadata.

    Attributes:
        suffix: `.xyz`, `.csv`, ...; another suffix is written in its own default layout.
        preamble: the lines before the rows, without line ends.
        header: which of them names the columns, if any.
        count: which of them holds the number of rows, if any.
        decimal: the decimal mark.
        joint: what stands between two values.
        newline, encoding: of the file.
        places: what each column is.
        trailer: a range grid behind the rows, as it was.
        rows: how many there were.
        gaps: whether some column of numbers left values out; such a NaN is written as nothing again.
    """

    suffix: str
    preamble: tuple[str, ...] = ()
    header: int | None = None
    count: int | None = None
    decimal: str = "."
    joint: str = " "
    newline: str = "\n"
    encoding: str = "utf-8"
    places: tuple[columns.Column, ...] = ()
    trailer: bytes = b""
    rows: int = 0
    gaps: bool = False


def read(path: Path) -> PointCloud:
    """Read rows of `x y z` and whatever else stands beside them."""
    data, encoding = _decodable(path.read_bytes())
    preamble, row, start = _preamble(data, encoding)
    separator, decimal = _sniff(row)
    header, names = _header(preamble, separator, len(_split(row, separator)))
    body, trailer = _split_range_grid(data[start:])
    found = table.parse(
        body,
        separator=separator,
        decimal=decimal,
        first_line=len(preamble) + 1,
        numbers=(0, 1, 2) if names is None else _coordinates(names),
        encoding=encoding,
    )
    if trailer and not np.array_equal(_grid_indices(trailer), np.arange(len(found[0]))):
        line = len(preamble) + body.count(b"\n") + 1
        raise InputError(f"from line {line} on the rows are shorter than the first; give every row the same length")
    if names is None and len(found) > 3 and found[-1].dtype.kind == "U" and not (found[-1] != "").any():
        found.pop()
    missing = [values.dtype.kind == "U" and _is_gappy(values, decimal) for values in found]
    found = [_fill_gaps(v, decimal) if gaps else v for v, gaps in zip(found, missing, strict=True)]
    count = next((i for i, line in enumerate(preamble) if _is_count(line)), None)
    if count is not None and int(preamble[count]) != len(found[0]):
        raise InputError(
            f"line {count + 1} announces {int(preamble[count])} points, {len(found[0])} rows follow; "
            "copy or export the file again"
        )
    suffix = path.suffix.lower()
    if names is None:
        names = _pts_names(found) if suffix == ".pts" else columns.unnamed(found[3:])
    places = columns.assign(names, [values.dtype for values in found])
    points, attributes = columns.gather(places, found)
    if "colors" in attributes:
        attributes["colors"] = _narrow(attributes["colors"])
    layout = TextLayout(
        suffix,
        tuple(preamble),
        header,
        count,
        decimal,
        separator or ("\t" if "\t" in row.strip() else " "),
        "\r\n" if data[start:].split(b"\n", 1)[0].endswith(b"\r") else "\n",
        encoding,
        tuple(places),
        trailer,
        len(points),
        any(missing),
    )
    return PointCloud(points, attributes, {"text_layout": layout})


def write(cloud: PointCloud, path: Path) -> None:
    """Write rows with the shortest digits that read back as the same float64, in the source file's layout.

    A new file is comma-separated with a header (CSV), or has blanks and a `#` header if there are attributes; PTS
    holds a count, intensity and byte colours only.
    """
    suffix = path.suffix.lower()
    layout = cloud.metadata.get("text_layout")
    if layout is None or layout.suffix != suffix:
        layout = TextLayout(suffix, joint="," if suffix == ".csv" else " ")
        if suffix == ".pts":
            layout = TextLayout(suffix, ("0",), count=0)
    held = columns.numeric(cloud.attributes, "text", "biufUS")
    if suffix == ".pts":
        held = _for_pts(held, layout)
    pairs = columns.spread(PointCloud(cloud.points, held), layout.places)
    places = tuple(column for column, _ in pairs)
    values = [values.astype(str) if values.dtype.kind == "S" else values for _, values in pairs]
    if layout.gaps:
        values = [_leave_gaps(v, layout) if v.dtype.kind == "f" else v for v in values]
    preamble = list(layout.preamble)
    if layout.count is not None:
        preamble[layout.count] = str(len(cloud))
    if places != layout.places and (held or layout.header is not None or suffix == ".csv") and suffix != ".pts":
        _name_columns(preamble, layout, [column.name for column in places])
    with path.open("wb") as file:
        file.write(codecs.BOM_UTF8 if layout.encoding == "utf-8-sig" else b"")
        encoding = layout.encoding.removesuffix("-sig")
        file.writelines((line + layout.newline).encode(encoding, "replace") for line in preamble)
        for part in table.rows(values, layout.joint, layout.decimal):
            part = part if encoding == "utf-8" else part.decode().encode(encoding, "replace")
            file.write(part if layout.newline == "\n" else part.replace(b"\n", b"\r\n"))
        if layout.rows == len(cloud):
            file.write(layout.trailer)


def _decodable(data: bytes) -> tuple[bytes, str]:
    """The file without its byte order mark, and its encoding."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("the text is UTF-16; save it as UTF-8")
    if b"\0" in data[:65536]:
        raise InputError("binary data where text was expected; give the file the suffix of its format")
    if data.startswith(codecs.BOM_UTF8):
        return data[3:], "utf-8-sig"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data, "latin-1"
    return data, "utf-8"


def _preamble(data: bytes, encoding: str) -> tuple[list[str], str, int]:
    """The lines before the first row (comments, a header, a count), the first row, and where it starts."""
    lines: list[str] = []
    has_header = has_count = False
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line = data[at:end].decode(encoding).rstrip("\r\n")
        bare = line.strip()
        if bare and not bare.startswith(table.COMMENTS):
            if _is_count(bare) and not has_count and len(data[end : end + 4096].lstrip().split(b"\n")[0].split()) != 1:
                has_count = True
            elif any(table.is_number(word) for word in re.split(r"[\s,;]+", bare)):
                return lines, line, at
            elif has_header:
                raise InputError(f"line {len(lines) + 1}: {_shown(bare)} holds no numbers; this is no table of points")
            else:
                has_header = True
        lines.append(line)
        at = end
    raise InputError("there is no row of numbers; this is no table of points")


def _is_count(line: str) -> bool:
    return re.fullmatch(r"\s*[0-9]+\s*", line) is not None


def _shown(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")


def _coordinates(names: Sequence[str]) -> tuple[int, ...]:
    lower = [name.lower() for name in names]
    return tuple(lower.index(axis) for axis in "xyz")


def _split_range_grid(body: bytes) -> tuple[bytes, bytes]:
    """Cut off the range grid of a Stanford scan: one row per pixel, `0`, or `1` and the number of its point."""
    last = body.rstrip().rsplit(b"\n", 1)[-1]
    found = _RANGE_GRID.search(body) if _GRID_ROW.fullmatch(last) else None
    return (body, b"") if found is None else (body[: found.start()], body[found.start() :])


def _grid_indices(grid: bytes) -> NDArray[np.int64]:
    return np.array([int(number) for number in re.findall(rb"(?m)^[ \t]*1[ \t]+(\d+)", grid)], dtype=np.int64)


def _sniff(row: str) -> tuple[str | None, str]:
    """Separator and decimal mark of a row: the first pair under which three of its words are numbers."""
    for separator, decimal in _SEPARATORS:
        words = [word.strip() for word in row.split(separator)]
        if sum(table.is_number(word, decimal) for word in words) >= 3:
            return separator, decimal
    raise InputError(f"{_shown(row.strip())} holds fewer than three numbers; separate x, y and z by blanks or commas")


def _header(preamble: list[str], separator: str | None, width: int) -> tuple[int | None, list[str] | None]:
    """Which line names the columns, and the names: the plain line, else a comment that names x, y and z."""
    for i in reversed(range(len(preamble))):
        line = preamble[i].strip()
        plain = bool(line) and not line.startswith(table.COMMENTS) and not _is_count(line)
        bare = line.lstrip("#/ \t")
        names = _distinct(_split(bare, separator))
        if len(names) != width:
            names = _distinct(re.split(r"[\s,;]+", bare))
        if len(names) == width and {"x", "y", "z"} <= {name.lower() for name in names}:
            return i, names
        if plain and len(names) == width:
            return i, ["x", "y", "z", *(f"{name}_" if name.lower() in "xyz" else name for name in names[3:])]
        if plain:
            return i, ["x", "y", "z", *(f"field_{k}" for k in range(3, width))]
    return None, None


def _split(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    return [word.strip() for word in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _distinct(names: list[str]) -> list[str]:
    seen: set[str] = set()
    for i, name in enumerate(names):
        new, k = name or f"field_{i}", 2
        while new in seen:
            new, k = f"{name or 'field'}_{k}", k + 1
        seen.add(new)
        names[i] = new
    return names


def _pts_names(found: list[Values]) -> list[str]:
    """PTS without a header: x y z, then an intensity, then red green blue."""
    colors = list(columns.VECTORS["colors"][0])
    if len(found) == 4:
        return ["x", "y", "z", "intensity"]
    if len(found) == 7:
        return ["x", "y", "z", "intensity", *colors]
    return columns.unnamed(found[3:])


def _is_gappy(words: Values, decimal: str) -> bool:
    """Whether a column of text is one of numbers, some of which are left out."""
    return bool((words == "").any()) and all(table.is_number(word, decimal) for word in words[words != ""].tolist())


def _fill_gaps(words: Values, decimal: str) -> NDArray[np.float64]:
    return np.array([float(word.replace(decimal, ".")) if word else np.nan for word in words.tolist()])


def _leave_gaps(values: Values, layout: TextLayout) -> Values:
    return np.array(["" if word == "nan" else word for word in table.spell(values, layout.joint, layout.decimal)])


def _narrow(colors: Values) -> Values:
    """Integer colours in the smallest of the types colours have."""
    return next((colors.astype(kind) for kind in (np.uint8, np.uint16) if columns.fits(colors, kind)), colors)


def _for_pts(attributes: dict[str, Values], layout: TextLayout) -> dict[str, Values]:
    known = {column.attribute for column in layout.places} if layout.places else {"intensity", "colors"}
    held = {name: attributes[name] for name in sorted(attributes.keys() & known, reverse=True)}
    columns.drop(attributes.keys() - held.keys(), "PTS")
    if "colors" in held:
        held["colors"] = to_uint8(held["colors"])
    return held


def _name_columns(preamble: list[str], layout: TextLayout, names: list[str]) -> None:
    words = [re.sub(r"\s+", "_", name) if layout.joint in " \t" else name for name in names]
    line = layout.joint.join(f'"{word}"' if layout.joint in word else word for word in words)
    if layout.header is None:
        preamble.append(line if layout.suffix == ".csv" else f"# {line}")
    else:
        mark = re.match(r"[#/\s]*", preamble[layout.header])
        preamble[layout.header] = (mark[0] if mark else "") + line
