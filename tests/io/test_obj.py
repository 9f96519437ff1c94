import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write

OBJ = """# by hand
mtllib a.mtl
v 0.5 1.25 -3.0 1.0 0.0 0.501961
vn 0.0 0.0 1.0
v 1.0 2.0 3.0 0.2 0.4 0.6
vt 0 0
v 1e-07 5400000.123 3.0 0.0 0.0 0.0

usemtl red
f 1//1 2//1 3//1
l 1 2
"""


def test_only_vertices_change(tmp_path):
    (tmp_path / "a.obj").write_text(OBJ)
    cloud = read(tmp_path / "a.obj")
    np.testing.assert_array_equal(cloud.points, [[0.5, 1.25, -3], [1, 2, 3], [1e-7, 5400000.123, 3]])
    np.testing.assert_array_equal(cloud.attributes["colors"], [[255, 0, 128], [51, 102, 153], [0, 0, 0]])
    assert cloud.attributes["colors"].dtype == np.uint8
    write(cloud, tmp_path / "b.obj")
    assert (tmp_path / "b.obj").read_text() == OBJ
    points = cloud.points.copy()
    points[1] = [7.5, 8, 9]
    write(cloud.with_points(points), tmp_path / "c.obj")
    assert (tmp_path / "c.obj").read_text() == OBJ.replace("v 1.0 2.0 3.0", "v 7.5 8.0 9.0")


def test_changed_colours(tmp_path):
    (tmp_path / "a.obj").write_text(OBJ)
    cloud = read(tmp_path / "a.obj")
    colors = cloud.attributes["colors"].copy()
    colors[2] = [255, 51, 0]
    write(PointCloud(cloud.points, {"colors": colors}, cloud.metadata), tmp_path / "b.obj")
    assert (tmp_path / "b.obj").read_text() == OBJ.replace("3.0 0.0 0.0 0.0", "3.0 1.0 0.2 0.0")


def test_colours_as_bytes_and_weights(tmp_path):
    for row in ("v 1.0 2.0 3.0 255 128 0", "v 1.0 2.0 3.0 0.5", "v 1.0 2.0 3.0"):
        text = row.replace("255 128 0", "255.0 128.0 0.0") + "\n"
        (tmp_path / "a.obj").write_text(text)
        cloud = read(tmp_path / "a.obj")
        assert set(cloud.attributes) == ({"colors"} if "128" in row else set())
        write(cloud, tmp_path / "b.obj", overwrite=True)
        assert (tmp_path / "b.obj").read_text() == text


def test_fewer_vertices_drop_the_rest(tmp_path):
    (tmp_path / "a.obj").write_text(OBJ)
    cloud = read(tmp_path / "a.obj")
    with pytest.warns(UserWarning, match="other lines"):
        write(PointCloud(cloud.points[:2], {}, cloud.metadata), tmp_path / "b.obj")
    assert (tmp_path / "b.obj").read_text() == "v 0.5 1.25 -3.0\nv 1.0 2.0 3.0\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("v ", "w "), "no vertex"),
        (("v 1.0 2.0 3.0 0.2", "v 1.0 two 3.0 0.2"), "line 5: 'two'"),
        (("v 1.0 2.0 3.0 0.2 0.4 0.6", "v 1.0 2.0 3.0"), "line 5 has 3 values where 6"),
        (("v 1.0 2.0 3.0 0.2 0.4 0.6", "v "), "line 5|empty"),
    ],
)
def test_malformed(change, said, tmp_path):
    (tmp_path / "a.obj").write_text(OBJ.replace(*change))
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.obj")
    (tmp_path / "a.obj").write_text("v 1 2\nv 3 4\n")
    with pytest.raises(InputError, match="line 1"):
        read(tmp_path / "a.obj")
