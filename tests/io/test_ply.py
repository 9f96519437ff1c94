import struct
import warnings

import numpy as np
import plyfile
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write

TYPES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}
ROWS = [
    (0.5, 1.25, -3.0, 10, 20, 30, -5, 65535, -70000, 4000000000, 0.1, 1e300),
    (1e-3, 2.0, float("nan"), 255, 0, 1, 127, 0, 2**31 - 1, 0, float("inf"), -0.0),
]
HEADER = b"""ply
format %s 1.0
comment made by hand
obj_info num_cols 2
element vertex 2
property float x
property float y
property float z
property uchar red
property uint8 green
property uchar blue
property char a
property ushort b
property int c
property uint d
property float32 e
property double f
element face 3
property list uchar int vertex_indices
property uchar flag
element edge 1
property int from
property int to
end_header
"""
FACES = [((0, 1, 0), 7), ((0, 1, 1, 0), 8), ((1, 0, 1), 9)]


def by_hand(order: str) -> bytes:
    name = b"binary_little_endian" if order == "<" else b"binary_big_endian"
    data = HEADER % name
    for row in ROWS:
        data += struct.pack(order + "fffBBBbHiIfd", *row)
    for corners, flag in FACES:
        data += struct.pack(f"{order}B{len(corners)}iB", len(corners), *corners, flag)
    return data + struct.pack(order + "ii", 0, 1)


ASCII = HEADER % b"ascii" + (
    b"0.5 1.25 -3.0 10 20 30 -5 65535 -70000 4000000000 0.1 1e+300\n"
    b"0.001 2.0 nan 255 0 1 127 0 2147483647 0 inf -0.0\n"
    b"3 0 1 0 7\n4 0 1 1 0 8\n3 1 0 1 9\n0 1\n"
)


@pytest.mark.parametrize("data", [by_hand("<"), by_hand(">"), ASCII], ids=["little", "big", "ascii"])
class TestByHand:
    def test_values(self, data, tmp_path):
        (tmp_path / "a.ply").write_bytes(data)
        cloud = read(tmp_path / "a.ply")
        np.testing.assert_array_equal(cloud.points, np.float32([row[:3] for row in ROWS]).astype(float))
        np.testing.assert_array_equal(cloud.attributes["colors"], np.uint8([row[3:6] for row in ROWS]))
        for i, (name, kind) in enumerate(zip("abcdef", ["i1", "u2", "i4", "u4", "f4", "f8"], strict=True)):
            assert cloud.attributes[name].dtype == kind
            np.testing.assert_array_equal(cloud.attributes[name], np.array([row[6 + i] for row in ROWS], kind))

    def test_bytes_come_back(self, data, tmp_path):
        (tmp_path / "a.ply").write_bytes(data)
        write(read(tmp_path / "a.ply"), tmp_path / "b.ply")
        assert (tmp_path / "b.ply").read_bytes() == data

    def test_only_the_moved_coordinates_change(self, data, tmp_path):
        (tmp_path / "a.ply").write_bytes(data)
        cloud = read(tmp_path / "a.ply")
        points = cloud.points.copy()
        points[0, 1] = 17.5
        write(cloud.with_points(points), tmp_path / "b.ply")
        expected = struct.pack("<f", 1.25), struct.pack("<f", 17.5)
        if b"ascii" in data[:20]:
            expected = b" 1.25 ", b" 17.5 "
        elif b"big" in data[:25]:
            expected = expected[0][::-1], expected[1][::-1]
        assert (tmp_path / "b.ply").read_bytes() == data.replace(*expected, 1)

    def test_plyfile_agrees(self, data, tmp_path):
        (tmp_path / "a.ply").write_bytes(data)
        write(read(tmp_path / "a.ply"), tmp_path / "b.ply")
        expected, found = plyfile.PlyData.read(tmp_path / "a.ply"), plyfile.PlyData.read(tmp_path / "b.ply")
        assert found.header == expected.header
        for element in expected:
            for p in element.properties:
                for left, right in zip(found[element.name][p.name], element[p.name], strict=True):
                    np.testing.assert_array_equal(left, right)

    def test_faces_go_with_a_warning_when_rows_go(self, data, tmp_path):
        (tmp_path / "a.ply").write_bytes(data)
        cloud = read(tmp_path / "a.ply")
        one = PointCloud(cloud.points[:1], {k: v[:1] for k, v in cloud.attributes.items()}, cloud.metadata)
        with pytest.warns(UserWarning, match="faces"):
            write(one, tmp_path / "b.ply")
        assert [element.name for element in plyfile.PlyData.read(tmp_path / "b.ply")] == ["vertex"]

    @pytest.mark.parametrize("cut", [1, 5, 9, 30, 100])
    def test_truncated(self, data, cut, tmp_path):
        (tmp_path / "a.ply").write_bytes(data[:-cut] if b"ascii" not in data[:20] or cut > 4 else data[:-4])
        with pytest.raises(InputError):
            read(tmp_path / "a.ply")

    def test_rows_too_many(self, data, tmp_path):
        (tmp_path / "a.ply").write_bytes(data + b"1 2 3\n")
        with pytest.raises(InputError, match="last element"):
            read(tmp_path / "a.ply")


def test_lists_of_points_stay(tmp_path):
    """List properties of the points themselves: of one length (n, k), else objects."""
    head = b"ply\nformat binary_little_endian 1.0\nelement vertex 2\n"
    head += b"property double x\nproperty double y\nproperty double z\n"
    for lengths in ((2, 2), (1, 3)):
        data = head + b"property list ushort float w\nend_header\n"
        for n in lengths:
            data += struct.pack(f"<dddH{n}f", 1, 2, 3, n, *range(n))
        (tmp_path / "a.ply").write_bytes(data)
        cloud = read(tmp_path / "a.ply")
        assert [len(w) for w in cloud.attributes["w"]] == list(lengths)
        write(cloud, tmp_path / "b.ply", overwrite=True)
        assert (tmp_path / "b.ply").read_bytes() == data


def test_triangles_written_by_plyfile(tmp_path):
    vertices = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], dtype=[(a, "f4") for a in "xyz"])
    faces = np.array([([0, 1, 2],), ([2, 1, 0],)], dtype=[("vertex_indices", "i4", (3,))])
    elements = [plyfile.PlyElement.describe(vertices, "vertex"), plyfile.PlyElement.describe(faces, "face")]
    for text in (False, True):
        plyfile.PlyData(elements, text=text).write(tmp_path / "a.ply")
        write(read(tmp_path / "a.ply"), tmp_path / "b.ply", overwrite=True)
        found = plyfile.PlyData.read(tmp_path / "b.ply")
        np.testing.assert_array_equal(np.stack(found["face"]["vertex_indices"]), faces["vertex_indices"])


def test_headers_of_other_systems(tmp_path):
    for newline in (b"\r\n", b"\r"):
        data = ASCII.replace(b"\n", newline).replace(b"made by hand", "größer".encode("latin-1"))
        (tmp_path / "a.ply").write_bytes(data)
        cloud = read(tmp_path / "a.ply")
        assert len(cloud) == 2
        write(cloud, tmp_path / "b.ply", overwrite=True)
        assert b"comment gr\xf6\xdfer" + newline in (tmp_path / "b.ply").read_bytes()
        np.testing.assert_array_equal(read(tmp_path / "b.ply").points, cloud.points)


def test_integer_coordinates_do_not_round_moved_points(tmp_path):
    head = b"ply\nformat ascii 1.0\nelement vertex 2\nproperty int x\nproperty int y\nproperty int z\nend_header\n"
    (tmp_path / "a.ply").write_bytes(head + b"1 2 3\n4 5 6\n")
    cloud = read(tmp_path / "a.ply")
    write(cloud, tmp_path / "b.ply")
    assert (tmp_path / "b.ply").read_bytes() == head + b"1 2 3\n4 5 6\n"
    write(cloud.with_points(cloud.points + 0.25), tmp_path / "c.ply")
    np.testing.assert_array_equal(read(tmp_path / "c.ply").points, cloud.points + 0.25)


def test_names_of_other_programs(tmp_path):
    words = b"x y z nx ny nz scalar_Intensity scalar_GPSTime label".split()
    head = b"ply\nformat ascii 1.0\nelement vertex 1\n" + b"".join(b"property float %s\n" % w for w in words)
    (tmp_path / "a.ply").write_bytes(head + b"end_header\n" + b"1 2 3 0 0 1 0.5 7 4\n")
    assert set(read(tmp_path / "a.ply").attributes) == {"normals", "intensity", "time", "label"}


def test_what_ply_cannot_hold_is_said(tmp_path):
    cloud = PointCloud(
        np.zeros((2, 3)), {"id": np.array([2**60 + 1, 0]), "word": np.array(["a", "b"]), "ok": np.ones(2)}
    )
    with pytest.warns(UserWarning, match="id, word"):
        write(cloud, tmp_path / "a.ply")
    assert set(read(tmp_path / "a.ply").attributes) == {"ok"}


def test_nothing_is_said_when_nothing_is_lost(tmp_path, utm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write(utm, tmp_path / "a.ply")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"ply\n", b"plx\n"), "not 'ply'"),
        ((b"end_header", b"end"), "end_header"),
        ((b"format ascii 1.0", b"format ascii 2.0"), "line 2"),
        ((b"element vertex 2", b"element vertex two"), "line 5"),
        ((b"element vertex 2", b"element vertex 9"), "rows"),
        ((b"element vertex 2", b"element vertex 0"), "no points|row|line"),
        ((b"element vertex", b"element corner"), "vertex"),
        ((b"property float x", b"property float u"), "no column x"),
        ((b"property float x", b"property half x"), "line 6"),
        ((b"property float y", b"property float x"), "one name"),
        ((b"0.5 1.25", b"0.5 one"), "line 25.*'one'"),
        ((b"1.25 -3.0 ", b"1.25 "), "line 26"),
        ((b"10 20 30", b"10 20 300"), "green|blue"),
        ((b"4 0 1 1 0 8", b"4 0 1 1 x 8"), "line 28"),
    ],
)
def test_malformed(change, said, tmp_path):
    assert change[0] in ASCII
    (tmp_path / "a.ply").write_bytes(ASCII.replace(*change, 1))
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.ply")


def test_a_header_that_promises_the_moon(tmp_path):
    for data in (ASCII, by_hand("<"), by_hand(">")):
        for element in (b"element vertex 2", b"element face 3"):
            name = element[:-1] + b"999999999999"
            (tmp_path / "a.ply").write_bytes(data.replace(element, name))
            with pytest.raises(InputError):
                read(tmp_path / "a.ply")
