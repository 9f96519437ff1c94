import struct

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write

SQUARE = [([0, 0, 1], [[0, 0, 0], [1, 0, 0], [1, 1, 0]]), ([0, 0, 1], [[0, 0, 0], [1, 1, 0], [0, 1, 0]])]
CORNERS = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]


def binary(header: bytes = b"solid lies about being text") -> bytes:
    data = header.ljust(80, b"\0") + struct.pack("<I", 2)
    for i, (normal, corners) in enumerate(SQUARE):
        data += struct.pack("<12fH", *normal, *np.ravel(corners), 40000 + i)
    return data


def ascii_() -> bytes:
    text = "solid square\n"
    for normal, corners in SQUARE:
        text += "facet normal {:.1f} {:.1f} {:.1f}\nouter loop\n".format(*normal)
        text += "".join("vertex {:.1f} {:.1f} {:.1f}\n".format(*corner) for corner in corners)
        text += "endloop\nendfacet\n"
    return (text + "endsolid square\n").encode()


@pytest.mark.parametrize("data", [binary(), ascii_()], ids=["binary", "ascii"])
class TestByHand:
    def test_corners_become_points_once_in_file_order(self, data, tmp_path):
        (tmp_path / "a.stl").write_bytes(data)
        np.testing.assert_array_equal(read(tmp_path / "a.stl").points, CORNERS)

    def test_bytes_come_back(self, data, tmp_path):
        (tmp_path / "a.stl").write_bytes(data)
        write(read(tmp_path / "a.stl"), tmp_path / "b.stl")
        assert (tmp_path / "b.stl").read_bytes() == data

    def test_moved_corners_move_in_every_facet(self, data, tmp_path):
        (tmp_path / "a.stl").write_bytes(data)
        cloud = read(tmp_path / "a.stl")
        points = cloud.points.copy()
        points[1] = [1, 0, 0.5]
        write(cloud.with_points(points), tmp_path / "b.stl")
        back = read(tmp_path / "b.stl")
        np.testing.assert_array_equal(back.points, points)
        layout = back.metadata["stl_layout"]
        np.testing.assert_array_equal(layout.corners, [[0, 1, 2], [0, 2, 3]])
        np.testing.assert_allclose(layout.normals[0], np.array([-0.5, 0.5, 1]) / np.sqrt(1.5), atol=1e-7)
        np.testing.assert_array_equal(layout.normals[1], [0, 0, 1])

    def test_corners_that_meet_are_no_error(self, data, tmp_path):
        (tmp_path / "a.stl").write_bytes(data)
        cloud = read(tmp_path / "a.stl")
        points = cloud.points.copy()
        points[1] = points[2]
        write(cloud.with_points(points), tmp_path / "b.stl")
        assert len(read(tmp_path / "b.stl")) == 3

    def test_truncated_or_longer(self, data, tmp_path):
        for wrong in (data[:-40], data[:100], data[:60], data + b"facet"):
            (tmp_path / "a.stl").write_bytes(wrong)
            with pytest.raises(InputError):
                read(tmp_path / "a.stl")

    def test_trimesh_agrees(self, data, tmp_path):
        trimesh = pytest.importorskip("trimesh")
        (tmp_path / "a.stl").write_bytes(data)
        write(read(tmp_path / "a.stl"), tmp_path / "b.stl")
        mesh = trimesh.load(tmp_path / "b.stl")
        assert mesh.area == pytest.approx(1.0)


def test_a_cloud_without_facets(tmp_path, utm):
    near = PointCloud(np.float32(utm.points - utm.points[0]).repeat(2, axis=0))
    write(near, tmp_path / "a.stl")
    np.testing.assert_array_equal(read(tmp_path / "a.stl").points, near.points)
    assert (tmp_path / "a.stl").stat().st_size == 84 + 50 * len(near)
    write(PointCloud(utm.points), tmp_path / "b.stl")
    np.testing.assert_array_equal(read(tmp_path / "b.stl").points, utm.points)


def test_fewer_points_drop_the_facets(tmp_path):
    (tmp_path / "a.stl").write_bytes(binary())
    cloud = read(tmp_path / "a.stl")
    with pytest.warns(UserWarning, match="facets"):
        write(PointCloud(cloud.points[:2], {}, cloud.metadata), tmp_path / "b.stl")
    np.testing.assert_array_equal(read(tmp_path / "b.stl").points, cloud.points[:2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"vertex 1.0 1.0 0.0\nvertex 0.0", b"vertex 1.0 up 0.0\nvertex 0.0"), "line 9"),
        ((b"vertex 1.0 1.0 0.0\nendloop", b"endloop"), "line 2"),
        ((b"endsolid square\n", b""), "cut off"),
        ((b"outer loop", b"inner loop"), "line 2"),
    ],
)
def test_malformed(change, said, tmp_path):
    assert change[0] in ascii_()
    (tmp_path / "a.stl").write_bytes(ascii_().replace(*change, 1))
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.stl")


def test_no_facets(tmp_path):
    for data in (b"solid x\nendsolid x\n", b"\0" * 84):
        (tmp_path / "a.stl").write_bytes(data)
        with pytest.raises(InputError, match="no facet"):
            read(tmp_path / "a.stl")
