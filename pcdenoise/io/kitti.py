"""KITTI Velodyne scans: float32 x y z intensity, nothing else. https://www.cvlibs.net/datasets/kitti/"""

import warnings
from pathlib import Path

import numpy as np

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import columns

_FARTHEST = 1e9  # metres: larger numbers are another format's bytes


def read(path: Path) -> PointCloud:
    """Read a scan; `intensity` (n,) float32 is the reflectance from 0 to 1."""
    data = path.read_bytes()
    if len(data) % 16:
        raise InputError(
            f"{len(data)} bytes are not rows of four float32; this is no KITTI scan, or it is cut off: copy it again"
        )
    rows = np.frombuffer(data, "<f4").reshape(-1, 4)
    if (np.abs(rows[:, :3]) > _FARTHEST).any():
        raise InputError("coordinates beyond 1e9 m; this is no KITTI scan (float32 x y z intensity)")
    return PointCloud(rows[:, :3].astype(np.float64), {"intensity": rows[:, 3].astype(np.float32)})


def write(cloud: PointCloud, path: Path) -> None:
    """Write a scan; warns where float32 would move points by more than a hundred-thousandth of the cloud's size."""
    intensity = cloud.attributes.get("intensity", np.zeros(len(cloud)))
    columns.drop(cloud.attributes.keys() - {"intensity"}, "KITTI .bin")
    rows = np.column_stack([cloud.points, intensity]).astype("<f4")
    finite = cloud.points[cloud.finite]
    if len(finite):
        error = np.abs(rows[cloud.finite, :3].astype(np.float64) - finite).max()
        if error > 1e-5 * np.ptp(finite, axis=0).max() and error > 0:
            warnings.warn(
                f"KITTI .bin stores float32, which moves points by up to {error:.2g}; write .las or .ply", stacklevel=3
            )
    path.write_bytes(rows.tobytes())
