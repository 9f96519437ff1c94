import struct

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import lzf, read, write

HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z _ rgb normal_x normal_y normal_z n8 u8 i2 f8 hist
SIZE 4 4 4 1 4 4 4 4 8 8 2 8 2
TYPE F F F U F F F F I U I F U
COUNT 1 1 1 3 1 1 1 1 1 1 1 1 2
WIDTH 2
HEIGHT 2
VIEWPOINT 1 2 3 0.5 0.5 0.5 0.5
POINTS 4
DATA {}
"""
ROW = "<fff3BIfffqQhd2H"
NAN = float("nan")
KINDS = ["f4", "f4", "f4", "3u1", "u4", "f4", "f4", "f4", "i8", "u8", "i2", "f8", "2u2"]
ROWS = [
    (1.5, 2.5, 3.5, 1, 2, 3, 0x00102030, 0.0, 0.0, 1.0, -(2**62) - 1, 2**64 - 1, -300, 0.1, 1, 2),
    (NAN, NAN, NAN, 4, 5, 6, 0xFF804020, 1.0, 0.0, 0.0, 7, 8, 9, NAN, 3, 4),
    (4.0, 5.0, -6.0, 7, 8, 9, 0x7FC00001, 0.0, 1.0, 0.0, 1, 2, 3, 4.0, 65535, 6),
    (0.1, 0.2, 0.3, 0, 0, 0, 0x01000000, 0.6, 0.8, 0.0, 0, 0, 0, -1e300, 7, 8),
]


def by_hand(encoding: str) -> bytes:
    rows = b"".join(struct.pack(ROW, *row) for row in ROWS)
    head = HEADER.format(encoding).encode()
    if encoding == "binary":
        return head + rows
    table = np.frombuffer(rows, np.dtype([("", t) for t in KINDS]))
    plain = b"".join(table[name].tobytes() for name in table.dtype.names)
    packed = b"".join(bytes([len(plain[i : i + 32]) - 1]) + plain[i : i + 32] for i in range(0, len(plain), 32))
    return head + struct.pack("<II", len(packed), len(plain)) + packed


@pytest.mark.parametrize("encoding", ["binary", "binary_compressed"])
def test_by_hand(encoding, tmp_path):
    (tmp_path / "a.pcd").write_bytes(by_hand(encoding))
    cloud = read(tmp_path / "a.pcd")
    np.testing.assert_array_equal(cloud.points, np.float32([row[:3] for row in ROWS]).astype(float))
    np.testing.assert_array_equal(
        cloud.attributes["colors"], [[0x10, 0x20, 0x30], [0x80, 0x40, 0x20], [0xC0, 0, 1], [0, 0, 0]]
    )
    assert cloud.attributes["colors"].dtype == np.uint8
    np.testing.assert_array_equal(cloud.attributes["normals"], np.float32([row[7:10] for row in ROWS]))
    for i, (name, kind) in enumerate(zip(["n8", "u8", "i2", "f8"], ["i8", "u8", "i2", "f8"], strict=True)):
        assert cloud.attributes[name].dtype == kind
        np.testing.assert_array_equal(cloud.attributes[name], np.array([row[10 + i] for row in ROWS], kind))
    np.testing.assert_array_equal(cloud.attributes["hist"], [row[14:] for row in ROWS])
    assert "_" not in "".join(cloud.attributes)


@pytest.mark.parametrize("encoding", ["binary", "binary_compressed"])
def test_every_bit_comes_back(encoding, tmp_path):
    """Packed colours that are NaN as floats, their fourth byte, padding, organisation and viewpoint included."""
    (tmp_path / "a.pcd").write_bytes(by_hand(encoding))
    write(read(tmp_path / "a.pcd"), tmp_path / "b.pcd")
    found = (tmp_path / "b.pcd").read_bytes()
    if encoding == "binary":
        assert found == by_hand(encoding)
    else:
        at = len(HEADER.format(encoding))
        assert found[:at] == by_hand(encoding)[:at]
        packed, plain = struct.unpack("<II", found[at : at + 8])
        expected = by_hand(encoding)[at + 8 :]
        assert lzf.decompress(found[at + 8 : at + 8 + packed], plain) == lzf.decompress(expected, plain)


def test_ascii(tmp_path):
    head = b"VERSION .7\nFIELDS x y z rgba label\nSIZE 4 4 8 4 1\nTYPE F F F U I\nCOUNT 1 1 1 1 1\nWIDTH 2\nHEIGHT 1\n"
    head += b"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA ascii\n"
    data = head + b"0.1 0.2 5400000.123 4286595104 -3\nnan nan nan 0 4\n"
    (tmp_path / "a.pcd").write_bytes(data)
    cloud = read(tmp_path / "a.pcd")
    np.testing.assert_array_equal(cloud.points[0], [float(np.float32(0.1)), float(np.float32(0.2)), 5400000.123])
    np.testing.assert_array_equal(cloud.attributes["colors"], [[0x80, 0x40, 0x20], [0, 0, 0]])
    np.testing.assert_array_equal(cloud.attributes["alpha"], [0xFF, 0])
    write(cloud, tmp_path / "b.pcd")
    assert (tmp_path / "b.pcd").read_bytes() == data


def test_ascii_packed_float_colours(tmp_path):
    """What the PCL writes: the bits of 0x00804020 as a float; a NaN pattern can only be written as an integer."""
    value = str(np.array([0x00804020], np.uint32).view(np.float32)[0])
    head = "FIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 1\nHEIGHT 1\nPOINTS 1\nDATA ascii\n"
    (tmp_path / "a.pcd").write_text(head + f"1.0 2.0 3.0 {value}\n")
    cloud = read(tmp_path / "a.pcd")
    np.testing.assert_array_equal(cloud.attributes["colors"], [[0x80, 0x40, 0x20]])
    write(cloud, tmp_path / "b.pcd")
    assert f"1.0 2.0 3.0 {value}\n" in (tmp_path / "b.pcd").read_text()
    layout = cloud.metadata["pcd_layout"]
    raw = np.array([0xFFC04020], np.uint32)
    nan = PointCloud(
        cloud.points,
        {"colors": np.uint8([[0xC0, 0x40, 0x20]])},
        {"pcd_layout": type(layout)(**{**vars(layout), "packed": raw})},
    )
    write(nan, tmp_path / "c.pcd")
    back = read(tmp_path / "c.pcd")
    np.testing.assert_array_equal(back.attributes["colors"], nan.attributes["colors"])
    np.testing.assert_array_equal(back.metadata["pcd_layout"].packed, raw)


def test_new_files_have_names_the_pcl_knows(tmp_path):
    rng = np.random.default_rng(1)
    attributes = {
        "colors": rng.integers(0, 256, (5, 3)).astype(np.uint8),
        "normals": rng.normal(size=(5, 3)).astype(np.float32),
        "fpfh": rng.normal(size=(5, 33)).astype(np.float32),
        "intensity": rng.normal(size=5).astype(np.float32),
    }
    write(PointCloud(np.float32(rng.normal(size=(5, 3))), attributes), tmp_path / "a.pcd")
    head = (tmp_path / "a.pcd").read_bytes().split(b"DATA")[0].decode()
    assert head.split("FIELDS ")[1].split("\n")[0] == "x y z rgb normal_x normal_y normal_z fpfh intensity"
    back = read(tmp_path / "a.pcd")
    for name, values in attributes.items():
        np.testing.assert_array_equal(back.attributes[name], values)
        assert back.attributes[name].dtype == values.dtype


def test_open3d_reads_what_we_write(tmp_path, utm):
    o3d = pytest.importorskip("open3d")
    near = np.float32(utm.points - utm.points[0])
    cloud = PointCloud(near, {"colors": utm.attributes["colors"]})
    write(cloud, tmp_path / "a.pcd")
    found = o3d.io.read_point_cloud(str(tmp_path / "a.pcd"))
    np.testing.assert_allclose(np.asarray(found.points), cloud.points, atol=1e-6)
    np.testing.assert_allclose(np.asarray(found.colors) * 255, cloud.attributes["colors"], atol=0.5)


def test_doubles_where_floats_would_round_and_a_word_about_it(tmp_path, utm):
    with pytest.warns(UserWarning, match="float64") as caught:
        write(PointCloud(utm.points), tmp_path / "a.pcd")
    assert len(caught) == 1
    np.testing.assert_array_equal(read(tmp_path / "a.pcd").points, utm.points)


def test_zeros_behind_the_data_are_padding(tmp_path):
    (tmp_path / "a.pcd").write_bytes(by_hand("binary") + b"\0" * 500)
    assert len(read(tmp_path / "a.pcd")) == 4
    (tmp_path / "a.pcd").write_bytes(by_hand("binary") + b"more")
    with pytest.raises(InputError, match="4 bytes follow"):
        read(tmp_path / "a.pcd")


@pytest.mark.parametrize("encoding", ["binary", "binary_compressed"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"DATA binary", b"DATUM"), "no DATA line"),
        ((b"DATA binary", b"DATA quick"), "unknown DATA"),
        ((b"FIELDS x", b"FIELDS u"), "no column x"),
        ((b"FIELDS x y", b"FIELDS x x"), "one name"),
        ((b"SIZE 4 4 4 1", b"SIZE 4 4 4"), "differ in length"),
        ((b"SIZE 4", b"SIZE 3"), "TYPE F SIZE 3"),
        ((b"WIDTH 2", b"WIDTH 3"), "POINTS 4 is not"),
        ((b"POINTS 4", b"POINTS four"), "whole number"),
        ((b"WIDTH 2", b"WIDTH 0"), "POINTS 4 is not"),
        ((b"VERSION 0.7", b"VERSUS 0.7"), "line 2"),
        ((b"HEIGHT 2", b"HEIGHT 2000000000"), "POINTS"),
    ],
)
def test_malformed_header(encoding, change, said, tmp_path):
    data = by_hand(encoding)
    assert change[0] in data
    (tmp_path / "a.pcd").write_bytes(data.replace(*change, 1))
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.pcd")


@pytest.mark.parametrize("encoding", ["binary", "binary_compressed"])
def test_promises_and_no_points(encoding, tmp_path):
    data = by_hand(encoding)
    (tmp_path / "a.pcd").write_bytes(data.replace(b"HEIGHT 2", b"HEIGHT 9").replace(b"POINTS 4", b"POINTS 18"))
    with pytest.raises(InputError, match="18 points"):
        read(tmp_path / "a.pcd")
    (tmp_path / "a.pcd").write_bytes(data.replace(b"HEIGHT 2", b"HEIGHT 0").replace(b"POINTS 4", b"POINTS 0"))
    with pytest.raises(InputError, match="POINTS 0"):
        read(tmp_path / "a.pcd")


def test_corrupt_compression(tmp_path):
    data = by_hand("binary_compressed")
    at = len(HEADER.format("binary_compressed")) + 8
    (tmp_path / "a.pcd").write_bytes(data[:at] + b"\xff\xff\xff" + data[at + 3 :])
    with pytest.raises(InputError, match="corrupt"):
        read(tmp_path / "a.pcd")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (b"1 2 3\n", "promises 2 points, 1 follow"),
        (b"1 2 3\n4 5\n", "line 9 has 2 values"),
        (b"1 2 3\n4 five 6\n", "line 9: 'five'"),
        (b"1 2 3 4\n1 2 3 4\n", "line 8"),
        (b"1 2 3\n1 2 3\n1 2 3\n", "promises 2 points, 3 follow"),
        (b"", "none follow"),
    ],
)
def test_malformed_ascii(rows, said, tmp_path):
    head = b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 2\nHEIGHT 1\nDATA ascii\n"
    (tmp_path / "a.pcd").write_bytes(head + rows)
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.pcd")
