import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write

POINTS = [[450000.123, 5400000.456, 1.0], [-1e-7, 2.5, 3.25]]
XYZ = "450000.123 5400000.456 1.0\n-1e-07 2.5 3.25\n"


def trip(tmp_path, text, suffix=".xyz", encoding="utf-8"):
    """Read a text, check that writing gives it back, return the cloud."""
    source = tmp_path / f"a{suffix}"
    source.write_bytes(text.encode(encoding))
    cloud = read(source)
    write(cloud, tmp_path / f"b{suffix}", overwrite=True)
    assert (tmp_path / f"b{suffix}").read_bytes() == text.encode(encoding)
    return cloud


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".xyz", XYZ),
        (".xyz", XYZ.replace(" ", "\t")),
        (".asc", "# a comment\n\n// another\n" + XYZ),
        (".txt", "X Y Z\n" + XYZ),
        (".csv", "x,y,z\n" + XYZ.replace(" ", ",")),
        (".csv", XYZ.replace(" ", ",")),
        (".csv", "x;y;z\r\n" + XYZ.replace(" ", ";").replace("\n", "\r\n")),
        (".csv", "x;y;z\n" + XYZ.replace(" ", ";").replace(".", ",")),
        (".txt", XYZ.replace(".", ",")),
        (".pts", "2\n" + XYZ),
        (".pts", XYZ),
        (".txt", "//X Y Z\n2\n" + XYZ),
        (".csv", "\ufeffx,y,z\n" + XYZ.replace(" ", ",")),
        (".csv", "\ufeff" + XYZ.replace(" ", ",")),
        (".txt", "Easting Northing Height\n" + XYZ),
    ],
)
def test_layouts(suffix, text, tmp_path):
    np.testing.assert_array_equal(trip(tmp_path, text, suffix).points, POINTS)


def test_latin_1_headers(tmp_path):
    cloud = trip(tmp_path, "x,y,z,Höhe\n1.0,2.0,3.0,4\n", ".csv", "latin-1")
    np.testing.assert_array_equal(cloud.attributes["Höhe"], [4])


def test_spaces_that_are_not_layout(tmp_path):
    (tmp_path / "a.xyz").write_text("  1   2\t3  \n\n4 5 6\n   \n")
    np.testing.assert_array_equal(read(tmp_path / "a.xyz").points, [[1, 2, 3], [4, 5, 6]])
    (tmp_path / "a.csv").write_text("1, 2, 3,\n4 ,5, 6,\n")
    np.testing.assert_array_equal(read(tmp_path / "a.csv").points, [[1, 2, 3], [4, 5, 6]])


def test_comments_between_rows(tmp_path):
    (tmp_path / "a.xyz").write_text("1 2 3\n# half\n4 5 6 # the last\n")
    np.testing.assert_array_equal(read(tmp_path / "a.xyz").points, [[1, 2, 3], [4, 5, 6]])


def test_a_header_names_columns_in_any_order(tmp_path):
    text = 'id,Z,Y,X,Intensity,R,G,B,label\n7,3.0,2.0,1.0,0.5,255,0,1,car\n8,6.0,5.0,4.0,0.25,9,8,7,"tall, tree"\n'
    cloud = trip(tmp_path, text, ".csv")
    np.testing.assert_array_equal(cloud.points, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(cloud.attributes["colors"], [[255, 0, 1], [9, 8, 7]])
    assert cloud.attributes["colors"].dtype == np.uint8
    assert cloud.attributes["label"].tolist() == ["car", "tall, tree"]
    assert set(cloud.attributes) == {"id", "intensity", "colors", "label"}


def test_values_left_out_are_nan_and_left_out_again(tmp_path):
    cloud = trip(tmp_path, "x;y;z;height;word\n1,0;2,0;3,0;;\n4,0;5,0;6,0;0,25;tree\n", ".csv")
    np.testing.assert_array_equal(cloud.attributes["height"], [np.nan, 0.25])
    assert cloud.attributes["word"].tolist() == ["", "tree"]


def test_a_comment_that_names_columns(tmp_path):
    cloud = trip(tmp_path, "//X Y Z Classification\n1.0 2.0 3.0 6\n")
    np.testing.assert_array_equal(cloud.attributes["classification"], [6])


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ("1.0 2.0 3.0 255 0 7\n1.0 2.0 3.0 0 0 7\n", {"colors"}),
        ("1.0 2.0 3.0 0.6 0.8 0.0\n1.0 2.0 3.0 0.0 0.0 -1.0\n", {"normals"}),
        ("1.0 2.0 3.0 0 0 1\n1.0 2.0 3.0 1 0 0\n", {"normals"}),
        ("1.0 2.0 3.0 0.6 0.9 0.0\n", {"field_3", "field_4", "field_5"}),
        ("1.0 2.0 3.0 256 0 7\n", {"field_3", "field_4", "field_5"}),
        ("1.0 2.0 3.0 9\n", {"field_3"}),
        ("1.0 2.0 3.0 9 car 1e+20 0\n", {"field_3", "field_4", "field_5", "field_6"}),
    ],
)
def test_names_by_convention(rows, names, tmp_path):
    assert set(trip(tmp_path, rows).attributes) == names


def test_pts_conventions(tmp_path):
    cloud = trip(tmp_path, "2\n1.0 2.0 3.0 -1200 255 0 1\n4.0 5.0 6.0 7 8 9 10\n", ".pts")
    np.testing.assert_array_equal(cloud.attributes["intensity"], [-1200, 7])
    np.testing.assert_array_equal(cloud.attributes["colors"], [[255, 0, 1], [8, 9, 10]])
    assert set(trip(tmp_path, "1\n1.0 2.0 3.0 4\n", ".pts").attributes) == {"intensity"}


def test_nan_rows_stay_where_they_are(tmp_path):
    cloud = trip(tmp_path, "1.0 2.0 3.0\nnan nan nan\n4.0 5.0 6.0\n")
    np.testing.assert_array_equal(cloud.finite, [True, False, True])


def test_moved_points_keep_every_digit(tmp_path):
    cloud = trip(tmp_path, "x;y;z\n" + XYZ.replace(" ", ";").replace(".", ","), ".csv")
    moved = cloud.with_points(cloud.points + np.pi * 1e-5)
    write(moved, tmp_path / "c.csv")
    np.testing.assert_array_equal(read(tmp_path / "c.csv").points, moved.points)


def test_a_new_attribute_extends_the_header(tmp_path):
    cloud = trip(tmp_path, "// by hand\nX Y Z\n1.0 2.0 3.0\n", ".txt")
    write(PointCloud(cloud.points, {"score of": np.array([0.5])}, cloud.metadata), tmp_path / "c.txt")
    assert (tmp_path / "c.txt").read_text() == "// by hand\nX Y Z score_of\n1.0 2.0 3.0 0.5\n"


def test_new_files(tmp_path, utm):
    write(PointCloud(utm.points), tmp_path / "a.xyz")
    assert (tmp_path / "a.xyz").read_text().splitlines()[0] == " ".join(map(repr, utm.points[0].tolist()))
    write(utm, tmp_path / "b.xyz")
    assert (tmp_path / "b.xyz").read_text().startswith("# x y z red green blue intensity classification time\n")
    write(utm, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().startswith("x,y,z,red,green,blue,intensity,classification,time\n")
    with pytest.warns(UserWarning, match="classification, time"):
        write(utm, tmp_path / "a.pts")
    assert (tmp_path / "a.pts").read_text().startswith("20\n")
    assert set(read(tmp_path / "a.pts").attributes) == {"intensity", "colors"}


GRID = "0.5 1.0 2.0\n1.5 1.0 2.0\n2.5 1.0 2.0\n0\n1 0\n0\n1 1\n1 2\n0\n"


def test_range_grid_of_a_stanford_scan(tmp_path):
    cloud = trip(tmp_path, GRID)
    np.testing.assert_array_equal(cloud.points[:, 0], [0.5, 1.5, 2.5])


@pytest.mark.parametrize("grid", [GRID.replace("1 2", "1 3"), GRID.replace("1 2", "0"), "1 2 3\n4 5 6\n0\n"])
def test_short_rows_that_are_no_range_grid(grid, tmp_path):
    (tmp_path / "a.xyz").write_text(grid)
    with pytest.raises(InputError, match=r"line [34]"):
        read(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2 3\n4 5\n7 8 9\n", "line 2 has 2 values where 3"),
        ("1 2 3\n4 5 6 7\n", "line 2 has 4 values where 3"),
        ("# head\n1 2 3\n4 five 6\n", "line 3: 'five'"),
        ("1 2 3\n4 5 6\n7 8\n", "line 3 has 2"),
        ("1 2 3\n\n4 5 1.0D+05\n", "line 3: '1.0D"),
        ("1 2 3\n4 5 1_000\n", "line 2: '1_000'"),
        ("1 2\n3 4\n", "fewer than three numbers"),
        ("# only a comment\n", "no row of numbers"),
        ("x y z\n", "no row of numbers"),
        ("x,y,z\n1,2,3\n4,,6\n", "line 3: ''"),
        ("x,y,z\nalpha,beta,gamma\n", "line 2"),
        ("p1 1 2 3\np2 4 5 6\n", "line 1: 'p1'"),
    ],
)
def test_malformed(text, said, tmp_path):
    for suffix in (".xyz", ".txt", ".csv", ".pts"):
        (tmp_path / f"a{suffix}").write_text(text)
        with pytest.raises(InputError, match=said):
            read(tmp_path / f"a{suffix}")


def test_counts_that_lie(tmp_path):
    for count in (1, 3, 10**12):
        (tmp_path / "a.pts").write_text(f"{count}\n1 2 3\n4 5 6\n")
        with pytest.raises(InputError, match=f"announces {count} points, 2 rows"):
            read(tmp_path / "a.pts")


def test_other_encodings(tmp_path):
    (tmp_path / "a.xyz").write_bytes("1 2 3\n".encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        read(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").write_bytes(b"1 2 3\n\0\0\0\n")
    with pytest.raises(InputError, match="binary"):
        read(tmp_path / "a.xyz")
