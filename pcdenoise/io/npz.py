"""NumPy archives: one (n, 3) array of points, arrays of n rows as attributes, everything else kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns
from pcdenoise.io.npy import POINTS

_SPELLINGS = {"colors": ("color", "colour", "colours", "rgb"), "normals": ("normal",)}


@dataclass(frozen=True)
class NpzLayout:
    """What an archive said besides its points: stored as `npz_layout` in the metadata.

    Attributes:
        key: of the points.
        type: of the points.
        keys: attribute -> its key, where they differ.
        others: arrays that do not have one row per point.
    """

    key: str = "points"
    type: np.dtype[Any] = np.dtype(np.float64)  # noqa: RUF009 - a dtype is immutable
    keys: tuple[tuple[str, str], ...] = ()
    others: tuple[tuple[str, NDArray[Any]], ...] = ()


def read(path: Path) -> PointCloud:
    """Read an archive; the points are under `points`, `xyz`, `pos`, `vertices` or a name like these."""
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError("this is a single array; give it the suffix .npy")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise InputError(
            f"no readable NumPy archive ({str(error).splitlines()[0]}); save numbers, not objects, with numpy.savez"
        ) from None
    usable = {name for name, array in arrays.items() if array.ndim == 2 and array.shape[1] == 3}
    key = next((own for name in POINTS for own in arrays if own.lower() == name and own in usable), None)
    if key is None:
        raise InputError(f"no (n, 3) array called {', '.join(POINTS[:4])} among {', '.join(arrays)}; rename one")
    points = arrays.pop(key)
    if points.dtype.kind not in "biuf":
        raise InputError(f"{key!r} has type {points.dtype}; save numbers")
    attributes: dict[str, NDArray[Any]] = {}
    keys: list[tuple[str, str]] = []
    others: list[tuple[str, NDArray[Any]]] = []
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != len(points):
            others.append((name, array))
            continue
        known = (usual for usual, alternatives in _SPELLINGS.items() if name.lower() in alternatives)
        usual = next((u for u in known if u not in arrays and array.shape[1:] == (3,) and u not in attributes), name)
        attributes[usual] = array
        if usual != name:
            keys.append((usual, name))
    return PointCloud(points, attributes, {"npz_layout": NpzLayout(key, points.dtype, tuple(keys), tuple(others))})


def write(cloud: PointCloud, path: Path) -> None:
    """Write an archive with the source file's keys; new ones are `points` and the names of the attributes."""
    layout: NpzLayout = cloud.metadata.get("npz_layout") or NpzLayout()
    held = columns.numeric(cloud.attributes, "NPZ", "biufcUSmM")
    keys = dict(layout.keys)
    arrays = {keys.get(name, name): values for name, values in held.items()}
    arrays = dict(layout.others) | arrays
    while layout.key in arrays:
        arrays[layout.key + "_"] = arrays.pop(layout.key)
    arrays[layout.key] = cloud.points.astype(columns.coordinate_type(cloud.points, layout.type))
    with ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
