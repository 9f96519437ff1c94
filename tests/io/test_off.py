import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write

FACES = "3 0 1 2 255 0 0\n4 0 1 2 0\n"
PLAIN = "OFF\n# by hand\n3 2 0\n0.5 1.25 -3.0\n1.0 nan 2.0\n1e-07 2.0 3.0\n" + FACES


@pytest.mark.parametrize(
    ("keyword", "row", "attributes"),
    [
        ("OFF", "0.5 1.25 -3.0", {}),
        ("COFF", "0.5 1.25 -3.0 255 0 7", {"colors": np.uint8([[255, 0, 7]])}),
        ("COFF", "0.5 1.25 -3.0 255 0 7 128", {"colors": np.uint8([[255, 0, 7]]), "alpha": [128]}),
        ("COFF", "0.5 1.25 -3.0 0.1 0.2 0.3 1.0", {"colors": [[0.1, 0.2, 0.3]], "alpha": [1.0]}),
        ("NOFF", "0.5 1.25 -3.0 0.0 0.6 0.8", {"normals": [[0.0, 0.6, 0.8]]}),
        ("CNOFF", "0.5 1.25 -3.0 0.0 0.6 0.8 1 2 3", {"normals": [[0.0, 0.6, 0.8]], "colors": np.uint8([[1, 2, 3]])}),
        ("OFF", "0.5 1.25 -3.0 1 2 3 255", {"colors": np.uint8([[1, 2, 3]]), "alpha": [255]}),
    ],
)
def test_variants(keyword, row, attributes, tmp_path):
    (tmp_path / "a.off").write_text(f"{keyword}\n1 0 0\n{row}\n")
    cloud = read(tmp_path / "a.off")
    np.testing.assert_array_equal(cloud.points, [[0.5, 1.25, -3]])
    assert cloud.attributes.keys() == attributes.keys()
    for name, values in attributes.items():
        np.testing.assert_array_equal(cloud.attributes[name], values)
        assert name != "colors" or cloud.attributes[name].dtype == np.asarray(values).dtype
    write(cloud, tmp_path / "b.off")
    assert (tmp_path / "b.off").read_text() == f"{keyword}\n1 0 0\n{row}\n"


def test_faces_and_comments_stay(tmp_path):
    (tmp_path / "a.off").write_text(PLAIN)
    cloud = read(tmp_path / "a.off")
    write(cloud, tmp_path / "b.off")
    assert (tmp_path / "b.off").read_text() == PLAIN
    write(cloud.with_points(cloud.points + 1), tmp_path / "c.off")
    assert (tmp_path / "c.off").read_text().endswith(FACES)
    fewer = PointCloud(cloud.points[:2], {}, cloud.metadata)
    with pytest.warns(UserWarning, match="faces"):
        write(fewer, tmp_path / "d.off")
    assert len(read(tmp_path / "d.off")) == 2


@pytest.mark.parametrize("head", ["OFF3 2 0", "OFF 3 2 0", "OFF\n\n3 2", "OFF # x\n3 2 0 # y"])
def test_headers_seen_in_the_wild(head, tmp_path):
    (tmp_path / "a.off").write_text(PLAIN.replace("OFF\n# by hand\n3 2 0", head))
    assert len(read(tmp_path / "a.off")) == 3


def test_new_files_carry_colours_and_normals(tmp_path):
    cloud = PointCloud(np.eye(3), {"colors": np.uint8([[1, 2, 3]] * 3), "normals": np.eye(3)})
    write(cloud, tmp_path / "a.off")
    assert (tmp_path / "a.off").read_text().startswith("CNOFF\n3 0 0\n1.0 0.0 0.0 1.0 0.0 0.0 1 2 3\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("OFF\n", "OFT\n"), "first line"),
        (("OFF\n", "OFF BINARY\n"), "binary OFF"),
        (("3 2 0\n0", "three 2 0\n0"), "line 3"),
        (("3 2 0\n0", "4 2 0\n0"), "4 vertices and 2 faces, 5 rows"),
        (("3 2 0\n0", "0 5 0\n0"), "0 vertices"),
        (("3 2 0\n0", "99999999999 2 0\n0"), "5 rows follow"),
        (("1.0 nan 2.0", "1.0 north 2.0"), "line 5: 'north'"),
        (("1.0 nan 2.0", "1.0 nan"), "line 5 has 2 values"),
        ((FACES, FACES + "1 2 3\n"), "6 rows follow"),
    ],
)
def test_malformed(change, said, tmp_path):
    assert change[0] in PLAIN
    (tmp_path / "a.off").write_text(PLAIN.replace(*change, 1))
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.off")
