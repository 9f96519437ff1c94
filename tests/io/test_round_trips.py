"""Every format with every kind of attribute: what it can hold comes back bit for bit, again and again."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pcdenoise.cloud import PointCloud
from pcdenoise.io import FORMATS, read, write

quick = settings(max_examples=8, deadline=None, derandomize=True)

TYPES = [np.bool_, *(np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8"]
EXACT = [".ply", ".pcd", ".xyz", ".txt", ".asc", ".csv", ".pts", ".off", ".obj", ".npy", ".npz", ".stl"]
HOLDS_ALL = [".ply", ".pcd", ".xyz", ".txt", ".csv", ".npy", ".npz", ".las", ".laz"]


def coordinates(n):
    return hnp.arrays(np.float64, (n, 3), elements=st.floats(-1e7, 1e7))


@st.composite
def clouds(draw, nan_rows=False):
    n = draw(st.integers(1, 6))
    points = draw(coordinates(n))
    if nan_rows:
        points[draw(hnp.arrays(np.bool_, n))] = np.nan
    attributes = {}
    for i, kind in enumerate(draw(st.lists(st.sampled_from(TYPES), max_size=3))):
        attributes[f"a{i}"] = draw(hnp.arrays(np.dtype(kind), n))
    if draw(st.booleans()):
        attributes["colors"] = draw(hnp.arrays(np.uint8, (n, 3)))
    if draw(st.booleans()):
        attributes["normals"] = draw(hnp.arrays(np.float32, (n, 3), elements=st.floats(-1, 1, width=32)))
    return PointCloud(points, attributes)


def same_values(found, expected):
    """Equal as numbers: text formats have no types, and PLY has no 64-bit integers."""
    return np.array_equal(
        np.asarray(found, dtype=object).astype(np.float64),
        np.asarray(expected, dtype=object).astype(np.float64),
        equal_nan=True,
    )


def there_and_back(cloud, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(cloud, path, overwrite=True)
    return read(path)


@pytest.mark.parametrize("suffix", EXACT)
def test_coordinates_come_back_bit_for_bit(suffix, tmp_path):
    @quick
    @given(clouds(nan_rows=True))
    def check(cloud):
        back = there_and_back(PointCloud(cloud.points), tmp_path / f"a{suffix}")
        np.testing.assert_array_equal(back.points, cloud.points)

    check()


@pytest.mark.parametrize("suffix", HOLDS_ALL)
def test_attributes_come_back(suffix, tmp_path):
    @quick
    @given(clouds())
    def check(cloud):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write(cloud, tmp_path / f"a{suffix}", overwrite=True)
        dropped = " ".join(str(w.message) for w in caught if "left out" in str(w.message))
        back = read(tmp_path / f"a{suffix}")
        for name, values in cloud.attributes.items():
            if name in dropped:
                assert suffix == ".ply"
                assert values.dtype.kind in "iu"
                assert values.dtype.itemsize == 8
            elif name == "normals" and suffix in (".las", ".laz"):
                assert same_values(back.attributes[name], values)
            elif name == "colors" and suffix in (".las", ".laz"):
                assert same_values(back.attributes[name], values.astype(int) * 257)
            else:
                assert same_values(back.attributes[name].astype(values.dtype), values), name
                if suffix in (".npy", ".npz") or (suffix == ".ply" and values.dtype.str[1:] in "i1u1i2u2i4u4f4f8"):
                    assert back.attributes[name].dtype == values.dtype

    check()


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_a_second_trip_changes_nothing(suffix, tmp_path):
    """A file we read and write unmoved has the same bytes: layout, types and digits are all remembered."""

    @quick
    @given(clouds())
    def check(cloud):
        cloud = PointCloud(cloud.points.astype(np.float32), cloud.attributes)
        first = there_and_back(cloud, tmp_path / f"0{suffix}")
        if FORMATS[suffix].name == "text":
            first = there_and_back(first, tmp_path / f"0{suffix}")  # text forgets that 0.1 was a float32
        second = there_and_back(first, tmp_path / f"1{suffix}")
        assert second.attributes.keys() == first.attributes.keys()
        assert (tmp_path / f"0{suffix}").read_bytes() == (tmp_path / f"1{suffix}").read_bytes()

    check()


@pytest.mark.parametrize(("source", "target"), list(itertools.product(FORMATS, FORMATS)))
def test_any_pair_of_formats_converts(source, target, tmp_path, utm):
    first = there_and_back(utm, tmp_path / f"a{source}")
    second = there_and_back(first, tmp_path / f"b{target}")
    assert len(second) == len(utm)
    coarse = 0.5 if ".bin" in (source, target) else 1e-4
    np.testing.assert_allclose(second.points, utm.points, atol=coarse, rtol=0)
    held = {
        ".pts": {"colors", "intensity"},
        ".obj": {"colors"},
        ".off": {"colors"},
        ".bin": {"intensity"},
        ".stl": set(),
    }
    names = utm.attributes.keys() & held.get(source, utm.attributes.keys()) & held.get(target, utm.attributes.keys())
    for name in names - {"colors"}:
        assert same_values(second.attributes[name], utm.attributes[name]), name
    if "colors" in names:
        scale = 257 if second.attributes["colors"].dtype == np.uint16 else 1
        assert same_values(second.attributes["colors"], utm.attributes["colors"].astype(int) * scale)


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s not in (".bin", ".las", ".laz")])
def test_utm_coordinates_keep_their_millimetres(suffix, tmp_path, utm):
    moved = utm.with_points(utm.points + 0.00012)
    back = there_and_back(moved, tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.points, moved.points)


@pytest.mark.parametrize("suffix", [".ply", ".pcd", ".npz", ".npy", ".csv", ".xyz"])
def test_attributes_that_came_later_are_written_too(suffix, tmp_path, utm):
    first = there_and_back(utm, tmp_path / f"a{suffix}")
    score = np.linspace(0, 1, len(utm)) ** 3
    attributes = {name: values for name, values in first.attributes.items() if name != "intensity"}
    changed = PointCloud(first.points, attributes | {"score": score}, first.metadata)
    back = there_and_back(changed, tmp_path / f"b{suffix}")
    assert back.attributes.keys() == changed.attributes.keys()
    np.testing.assert_array_equal(back.attributes["score"], score)
    np.testing.assert_array_equal(back.attributes["time"], utm.attributes["time"])


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_fewer_rows_than_the_source_had(suffix, tmp_path, utm):
    first = there_and_back(utm, tmp_path / f"a{suffix}")
    kept = slice(3, 15)
    fewer = PointCloud(
        first.points[kept], {name: values[kept] for name, values in first.attributes.items()}, first.metadata
    )
    back = there_and_back(fewer, tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(back.points, fewer.points)
    for name, values in fewer.attributes.items():
        assert same_values(back.attributes[name], values), name
