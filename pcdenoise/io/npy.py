"""NumPy arrays: (n, 3 or more), (h, w, 3 or more), or structured with x, y, z or an (n, 3) field."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns

Values = NDArray[Any]

POINTS = ("points", "xyz", "pos", "position", "positions", "vertices", "coords", "coordinates", "point_cloud")
"""Names under which files keep an (n, 3) array of coordinates, in order of preference."""


@dataclass(frozen=True)
class NpyLayout:
    """How the source array looked: stored as `npy_layout` in the metadata.

    Attributes:
        type: of the array.
        shape: of the array, without the last axis where it is plain.
        places: what each column or field is.
    """

    type: np.dtype[Any]
    shape: tuple[int, ...]
    places: tuple[columns.Column, ...]


def read(path: Path) -> PointCloud:
    """Read one array; columns without names are named by `columns.unnamed`."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"no readable NumPy array ({str(error).splitlines()[0]}); save numbers, not objects, with numpy.save"
        ) from None
    if not isinstance(array, np.ndarray):
        raise InputError("this is an archive of arrays; give it the suffix .npz")
    if array.dtype.names:
        return _read_structured(array)
    if array.dtype.kind not in "biuf" or array.ndim < 2 or array.shape[-1] < 3:
        hint = "transpose it" if array.ndim == 2 and array.shape[0] == 3 else "save rows of x, y, z"
        raise InputError(f"the array has shape {array.shape} and type {array.dtype}; {hint}")
    flat = array.reshape(-1, array.shape[-1])
    if not len(flat):
        raise InputError(f"the array has shape {array.shape} and holds no points; save it again")
    found = list(flat.T)
    places = columns.assign(columns.unnamed(found[3:]), [array.dtype] * len(found))
    points, attributes = columns.gather(places, found)
    if "colors" in attributes:
        attributes["colors"] = attributes["colors"].astype(np.uint8)
    return PointCloud(points, attributes, {"npy_layout": NpyLayout(array.dtype, array.shape[:-1], tuple(places))})


def write(cloud: PointCloud, path: Path) -> None:
    """Write the source array with moved points; new: (n, 3) float64, or structured where there are attributes."""
    held = columns.numeric(cloud.attributes, "NPY", "biufcUSmM")
    layout: NpyLayout | None = cloud.metadata.get("npy_layout")
    known = {column.attribute for column in layout.places} - {None} if layout else set()
    if layout is not None and layout.type.names is None and held.keys() == known:
        array = _plain(PointCloud(cloud.points, held), layout)
    elif layout is None and not held:
        array = cloud.points
    else:
        array = _structured(PointCloud(cloud.points, held), layout)
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _read_structured(array: Values) -> PointCloud:
    flat = array.reshape(-1)
    names = list(array.dtype.names or ())
    if any(array.dtype[name].kind == "O" or array.dtype[name].names for name in names):
        raise InputError("the array has nested or object fields; save plain numbers")
    found = [flat[name] for name in names]
    vector = next(
        (i for name in POINTS for i, own in enumerate(names) if own == name and found[i].shape[1:] == (3,)), None
    )
    if vector is not None:
        places = [columns.Column(name, None if i == vector else name) for i, name in enumerate(names)]
        attributes = {name: values for i, (name, values) in enumerate(zip(names, found, strict=True)) if i != vector}
        points = found[vector].astype(np.float64)
    else:
        places = columns.assign(names, [np.dtype((values.dtype, values.shape[1:])) for values in found])
        points, attributes = columns.gather(places, found)
    return PointCloud(points, attributes, {"npy_layout": NpyLayout(array.dtype, array.shape, tuple(places))})


def _plain(cloud: PointCloud, layout: NpyLayout) -> Values:
    values = [values for _, values in columns.spread(cloud, layout.places)]
    kind = columns.coordinate_type(cloud.points, layout.type)
    array = np.column_stack(values).astype(kind)
    return array.reshape(*layout.shape, -1) if np.prod(layout.shape) == len(cloud) else array


def _structured(cloud: PointCloud, layout: NpyLayout | None) -> Values:
    fields: list[Any] = []
    parts: list[Values] = []
    structured = layout is not None and layout.type.names is not None
    source = list(layout.places) if layout is not None and structured else []
    known = {column.attribute for column in source}
    source += [columns.Column(name, name) for name in cloud.attributes if name not in known]
    for column, values in columns.spread(cloud, source):
        before = (
            layout.type[column.name].base
            if layout and structured and column.name in (layout.type.names or ())
            else None
        )
        kind = values.dtype
        if column.attribute is None:
            kind = columns.coordinate_type(values, before if before is not None else np.float64)
        elif before is not None and columns.fits(values, before):
            kind = before
        fields.append((column.name, kind, values.shape[1:]))
        parts.append(values)
    array = np.empty(len(cloud), np.dtype(fields))
    for (name, *_), values in zip(fields, parts, strict=True):
        array[name] = values
    shape = layout.shape if layout is not None and structured else ()
    return array.reshape(shape) if shape and np.prod(shape) == len(cloud) else array
