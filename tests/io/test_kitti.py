import struct
import warnings

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write

DATA = struct.pack("<8f", 1.5, -2.5, 3.25, 0.25, 70.1, float("nan"), -1.7, 0.99)


def test_by_hand(tmp_path):
    (tmp_path / "a.bin").write_bytes(DATA)
    cloud = read(tmp_path / "a.bin")
    np.testing.assert_array_equal(cloud.points, np.float32([[1.5, -2.5, 3.25], [70.1, np.nan, -1.7]]).astype(float))
    np.testing.assert_array_equal(cloud.attributes["intensity"], np.float32([0.25, 0.99]))
    write(cloud, tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == DATA


def test_no_intensity_is_written_as_zeros(tmp_path):
    write(PointCloud(np.eye(3)), tmp_path / "a.bin")
    np.testing.assert_array_equal(read(tmp_path / "a.bin").attributes["intensity"], np.zeros(3))


def test_rounding_is_said_only_where_it_matters(tmp_path, utm):
    with pytest.warns(UserWarning, match="float32"):
        write(PointCloud(utm.points), tmp_path / "a.bin")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(PointCloud(utm.points - utm.points[0]), tmp_path / "b.bin")


def test_malformed(tmp_path):
    (tmp_path / "a.bin").write_bytes(DATA[:-1])
    with pytest.raises(InputError, match="31 bytes"):
        read(tmp_path / "a.bin")
    (tmp_path / "a.bin").write_bytes(b"some other format's data" * 2)
    with pytest.raises(InputError, match="KITTI"):
        read(tmp_path / "a.bin")
