"""The table of file formats."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcdenoise.cloud import PointCloud
from pcdenoise.io import kitti, las, npy, npz, obj, off, pcd, ply, stl, text


@dataclass(frozen=True)
class Format:
    """How one kind of file is read and written.

    Attributes:
        name: for people.
        read: raises InputError, with the fact and the remedy, where the file is malformed.
        write: writes a complete new file; the caller has chosen a temporary name with the right suffix.
        stored: how many points `read` finds in what `write` made of a cloud.
    """

    name: str
    read: Callable[[Path], PointCloud]
    write: Callable[[PointCloud, Path], None]
    stored: Callable[[PointCloud], int] = len


_TEXT = Format("text", text.read, text.write)
_LAS = Format("LAS", las.read, las.write)

FORMATS: dict[str, Format] = {
    ".ply": Format("PLY", ply.read, ply.write),
    ".pcd": Format("PCD", pcd.read, pcd.write),
    ".xyz": _TEXT,
    ".txt": _TEXT,
    ".asc": _TEXT,
    ".csv": _TEXT,
    ".pts": _TEXT,
    ".off": Format("OFF", off.read, off.write),
    ".obj": Format("OBJ", obj.read, obj.write),
    ".stl": Format("STL", stl.read, stl.write, stl.stored),
    ".npy": Format("NPY", npy.read, npy.write),
    ".npz": Format("NPZ", npz.read, npz.write),
    ".bin": Format("KITTI", kitti.read, kitti.write),
    ".las": _LAS,
    ".laz": _LAS,
}
"""Suffix, in lower case, -> format."""
