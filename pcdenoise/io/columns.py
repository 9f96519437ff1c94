"""Attributes as named scalar columns, and back: `colors` (n, 3) is `red`, `green`, `blue` in most files.

Every format that stores a table of scalars (PLY, PCD, text, OFF, structured NPY) names its columns here, so that an
attribute has one name in memory whatever file it came from.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError

Values = NDArray[Any]

VECTORS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "colors": (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue")),
    "normals": (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"), ("normalx", "normaly", "normalz")),
}
"""What the three columns of a vector attribute are called, in lower case; the first set is the one we write."""

SCALARS: dict[str, tuple[str, ...]] = {
    "intensity": ("intensity", "scalar_intensity"),
    "classification": ("classification", "scalar_classification"),
    "time": ("time", "gps_time", "gpstime", "scalar_gps_time", "scalar_gpstime"),
}
"""What a scalar attribute is called in files, in lower case, in order of preference."""


@dataclass(frozen=True)
class Column:
    """Where a column of a file lives in a cloud.

    Attributes:
        name: what the file calls it.
        attribute: a key of `PointCloud.attributes`; None means the coordinates.
        component: which column of a vector attribute; None means the whole attribute.
    """

    name: str
    attribute: str | None
    component: int | None = None


def assign(names: Sequence[str], types: Sequence[np.dtype[Any]]) -> list[Column]:
    """Say what each column of a file is, from its name.

    Args:
        names: distinct column names, in file order.
        types: their types; three columns make a vector only when they agree.

    Raises:
        InputError: there is no x, y or z.
    """
    at = {name.strip().lower(): i for i, name in reversed(list(enumerate(names)))}
    columns: dict[int, Column] = {}
    missing = [axis for axis in "xyz" if axis not in at]
    if missing:
        raise InputError(
            f"no column {', '.join(missing)} among {', '.join(names) or 'none'}; a point cloud needs x, y and z"
        )
    for component, axis in enumerate("xyz"):
        columns[at[axis]] = Column(names[at[axis]], None, component)
    for attribute, spellings in VECTORS.items():
        for spelling in spellings:
            found = [at[name] for name in spelling if name in at]
            if len(found) == 3 and len({types[i] for i in found}) == 1 and attribute not in names:
                columns |= {i: Column(names[i], attribute, component) for component, i in enumerate(found)}
                break
    for attribute, alternatives in SCALARS.items():
        place = next((at[name] for name in alternatives if name in at), None)
        if place is not None and (attribute not in names or names[place] == attribute):
            columns[place] = Column(names[place], attribute)
    return [columns.get(i, Column(name, name)) for i, name in enumerate(names)]


def unnamed(extra: Sequence[Values]) -> list[str]:
    """Names for the columns of a table that has no header.

    Three columns after x y z are normals where every row has unit length, else colours where all are integers
    from 0 to 255; anything else becomes `field_3`, `field_4`, ...
    """
    names = ["x", "y", "z"]
    if len(extra) == 3 and all(values.dtype.kind in "iuf" for values in extra):
        table = np.column_stack([values.astype(np.float64) for values in extra])
        table = table[np.isfinite(table).all(axis=1)]
        if len(table) and np.allclose(np.linalg.norm(table, axis=1), 1.0, atol=1e-3):
            return names + list(VECTORS["normals"][0])
        if len(table) and np.all((table == np.rint(table)) & (table >= 0) & (table <= 255)):
            return names + list(VECTORS["colors"][0])
    return names + [f"field_{i}" for i in range(3, 3 + len(extra))]


def gather(columns: Sequence[Column], arrays: Sequence[Values]) -> tuple[NDArray[np.float64], dict[str, Values]]:
    """Put the columns of a file together: points (n, 3) float64, and the attributes."""
    parts: dict[str | None, dict[int, Values]] = {}
    attributes: dict[str, Values] = {}
    for column, values in zip(columns, arrays, strict=True):
        if column.component is None:
            attributes[str(column.attribute)] = values
        else:
            parts.setdefault(column.attribute, {})[column.component] = values
    stacked = {key: np.column_stack([found[i] for i in sorted(found)]) for key, found in parts.items()}
    points = stacked.pop(None).astype(np.float64)
    return points, attributes | {str(key): values for key, values in stacked.items()}


def spread(
    cloud: PointCloud, layout: Sequence[Column] = (), spell: Callable[[str], str] = str
) -> list[tuple[Column, Values]]:
    """Lay a cloud out as columns: those of the file it came from, then whatever else it holds.

    Args:
        layout: the columns of the source file. One whose attribute is gone or has another shape is left out.
        spell: turns the name of a new column into one the format can write.
    """
    width: dict[str | None, int] = {}
    for column in layout:
        if column.component is not None:
            width[column.attribute] = width.get(column.attribute, 0) + 1

    def still_there(column: Column) -> bool:
        if column.attribute is None:
            return column.component is None or width[None] == 3
        values = cloud.attributes.get(column.attribute)
        return values is not None and (column.component is None or values.shape[1:] == (width[column.attribute],))

    kept = [column for column in layout if still_there(column)]
    covered = {column.attribute for column in kept}
    fresh = [] if None in covered else [Column(axis, None, i) for i, axis in enumerate("xyz")]
    kept = fresh + kept
    taken = {column.name for column in kept}
    for attribute, values in cloud.attributes.items():
        if attribute in covered:
            continue
        if values.ndim == 1:
            new = [Column(attribute, attribute)]
        elif attribute in VECTORS and values.shape[1:] == (3,):
            new = [Column(name, attribute, i) for i, name in enumerate(VECTORS[attribute][0])]
        else:
            new = [Column(f"{attribute}_{i}", attribute, i) for i in range(values[0].size)]
        for column in new:
            name = spell(column.name)
            while name in taken:
                name += "_"
            taken.add(name)
            kept.append(Column(name, column.attribute, column.component))
    return [(column, _values(cloud, column)) for column in kept]


def _values(cloud: PointCloud, column: Column) -> Values:
    source = cloud.points if column.attribute is None else cloud.attributes[column.attribute]
    return source if column.component is None else source.reshape(len(source), -1)[:, column.component]


def fits(values: Values, dtype: Any) -> bool:
    """Whether every value survives the cast to `dtype` exactly (NaN counts as equal to NaN)."""
    dtype = np.dtype(dtype)
    if values.dtype == dtype:
        return True
    if values.dtype.kind not in "biuf" or dtype.kind not in "biuf":
        return False
    if values.dtype.kind in "iu" and len(values):
        low, high = int(values.min()), int(values.max())
        if dtype.kind == "f":
            return bool(max(-low, high) <= 2 ** (np.finfo(dtype).nmant + 1))
        return dtype.kind in "iu" and low >= np.iinfo(dtype).min and high <= np.iinfo(dtype).max
    if values.dtype.kind == "f" and dtype.kind in "iu" and len(values):
        limits = np.iinfo(dtype)
        if not (np.isfinite(values).all() and values.min() >= limits.min and int(values.max()) <= limits.max):
            return False
    with np.errstate(all="ignore"):
        return bool(np.array_equal(values.astype(dtype), values, equal_nan=values.dtype.kind == "f"))


def coordinate_type(coordinates: Values, source: Any) -> np.dtype[Any]:
    """The type to write coordinates in: the source file's, but never one that would round a moved point to integers."""
    source = np.dtype(source)
    keeps = (source.kind == "f" and 4 <= source.itemsize <= 8) or fits(coordinates, source)
    return source if keeps else np.dtype(np.float64)


def drop(names: Iterable[str], kind: str) -> None:
    """Warn, in one line, that a format cannot hold some attributes."""
    names = sorted(set(names))
    if names:
        warnings.warn(
            f"{kind} cannot hold {', '.join(names)}: left out; write .ply, .npz or .csv to keep everything",
            stacklevel=4,
        )


def numeric(attributes: Mapping[str, Values], kind: str, kinds: str = "biuf") -> dict[str, Values]:
    """The attributes a format can hold, by numpy type kind; warns about the others."""
    kept = {name: values for name, values in attributes.items() if values.dtype.kind in kinds}
    drop(attributes.keys() - kept.keys(), kind)
    return kept
