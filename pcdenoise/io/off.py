"""OFF, COFF, NOFF and CNOFF in ASCII, and plain OFF with colours behind the coordinates.

Faces (and whatever colours they have) are kept as text. Also reads ModelNet's files, whose counts follow `OFF` without
a line break. http://www.geomview.org/docs/html/OFF.html
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns, table
from pcdenoise.io.colors import to_uint8


@dataclass(frozen=True)
class OffLayout:
    """What an OFF file said besides its points: stored as `off_layout` in the metadata.

    Attributes:
        keyword: `OFF`, `COFF`, `NOFF` or `CNOFF`.
        comments: all comment lines.
        faces: the rows after the vertices, as text.
        edges: the third count of the header.
        vertices: how many there were: faces of another number are meaningless.
        places: what the values of a vertex are.
    """

    keyword: str
    comments: tuple[str, ...]
    faces: tuple[str, ...]
    edges: int
    vertices: int
    places: tuple[columns.Column, ...]


def read(path: Path) -> PointCloud:
    """Read the vertices as points; faces stay in the metadata."""
    lines = path.read_bytes().decode("latin-1").splitlines()
    comments = tuple(line.strip() for line in lines if line.lstrip().startswith("#"))
    bare = [line.split("#")[0].strip() for line in lines]
    keyword, (vertices, faces, edges), start = _read_header(bare)
    if vertices == 0:
        raise InputError("the header promises 0 vertices; export the file again")
    places = [i for i in range(start, len(bare)) if bare[i]]
    if len(places) != vertices + faces:
        raise InputError(
            f"the header promises {vertices} vertices and {faces} faces, {len(places)} rows follow; "
            "copy or export the file again"
        )
    end = places[vertices - 1] + 1
    found = table.parse("\n".join(bare[places[0] : end]).encode("latin-1"), first_line=places[0] + 1)
    names = _names(keyword, len(found))
    if names is None:
        raise InputError(f"line {places[0] + 1}: a vertex of {keyword} cannot have {len(found)} values; export again")
    kinds = columns.assign(names, [values.dtype for values in found])
    points, attributes = columns.gather(kinds, found)
    if "colors" in attributes and columns.fits(attributes["colors"], np.uint8):
        attributes["colors"] = attributes["colors"].astype(np.uint8)
    layout = OffLayout(keyword, comments, tuple(bare[i] for i in places[vertices:]), edges, vertices, tuple(kinds))
    return PointCloud(points, attributes, {"off_layout": layout})


def write(cloud: PointCloud, path: Path) -> None:
    """Write vertices, their normals and colours, and the source file's faces."""
    layout: OffLayout = cloud.metadata.get("off_layout") or OffLayout("OFF", (), (), 0, len(cloud), ())
    known = {column.attribute for column in layout.places} - {None}
    held = {name: values for name, values in cloud.attributes.items() if name in known}
    keyword, source = layout.keyword, layout.places
    if held.keys() != known or any(name in cloud.attributes.keys() - known for name in ("normals", "colors")):
        held = {name: cloud.attributes[name] for name in ("normals", "colors") if name in cloud.attributes}
        keyword, source = ("C" if "colors" in held else "") + ("N" if "normals" in held else "") + "OFF", ()
        if "colors" in held:
            held["colors"] = to_uint8(held["colors"])
    columns.drop(cloud.attributes.keys() - held.keys(), "OFF")
    faces = layout.faces
    if faces and layout.vertices != len(cloud):
        warnings.warn("the number of points changed: the faces of the OFF file are left out", stacklevel=3)
        faces = ()
    values = [values for _, values in columns.spread(PointCloud(cloud.points, held), source)]
    with path.open("wb") as file:
        head = [keyword, *layout.comments, f"{len(cloud)} {len(faces)} {layout.edges if faces else 0}"]
        file.write(("\n".join(head) + "\n").encode("latin-1"))
        file.writelines(table.rows(values))
        file.writelines((face + "\n").encode("latin-1") for face in faces)


def _read_header(bare: list[str]) -> tuple[str, tuple[int, int, int], int]:
    """Keyword, the three counts, and the index of the line after them."""
    filled = [i for i, line in enumerate(bare) if line]
    found = re.match(r"(C?N?OFF)\b\s*(.*)|(OFF)(\d.*)", bare[filled[0]]) if filled else None
    if found is None:
        raise InputError("the first line is not OFF, COFF, NOFF or CNOFF; this is no ASCII OFF file, export it again")
    keyword, rest, at = found[1] or found[3], found[2] or found[4] or "", filled[0]
    if "BINARY" in rest:
        raise InputError("binary OFF is not supported; export the mesh as ASCII OFF or PLY")
    if not rest and len(filled) > 1:
        at, rest = filled[1], bare[filled[1]]
    words = rest.split()
    if len(words) not in (2, 3) or not all(word.isdigit() for word in words):
        raise InputError(f"line {at + 1}: {rest[:40]!r} does not give the numbers of vertices, faces and edges")
    numbers = [int(word) for word in words] + [0]
    return keyword, (numbers[0], numbers[1], numbers[2]), at + 1


def _names(keyword: str, width: int) -> list[str] | None:
    """What the values of a vertex are, in the order the format fixes: coordinates, normal, colour."""
    names = ["x", "y", "z"] + (["nx", "ny", "nz"] if "N" in keyword else [])
    if width == len(names) and "C" not in keyword:
        return names
    extra = width - len(names)
    return [*names, "red", "green", "blue", "alpha"][:width] if extra in (3, 4) else None
