import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write

rng = np.random.default_rng(5)


def trip(array, tmp_path):
    """Save an array, check that writing gives it back, return the cloud."""
    np.save(tmp_path / "a.npy", array)
    cloud = read(tmp_path / "a.npy")
    write(cloud, tmp_path / "b.npy", overwrite=True)
    back = np.load(tmp_path / "b.npy")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    return cloud


@pytest.mark.parametrize("kind", ["f4", "f8", ">f4", "i4", "u1"])
@pytest.mark.parametrize("shape", [(5, 3), (5, 4), (5, 9), (2, 3, 3), (2, 2, 2, 5)])
def test_plain_arrays(kind, shape, tmp_path):
    array = (rng.normal(size=shape) * 50 + 100).astype(kind)
    cloud = trip(array, tmp_path)
    np.testing.assert_array_equal(cloud.points, array.reshape(-1, shape[-1])[:, :3])
    assert len(cloud.attributes) == shape[-1] - 3


def test_columns_by_convention(tmp_path):
    colors = rng.integers(0, 256, (5, 3))
    assert trip(np.column_stack([rng.normal(size=(5, 3)), colors]), tmp_path).attributes["colors"].dtype == np.uint8
    normals = np.float32([[0, 0.6, 0.8]] * 5)
    assert set(trip(np.column_stack([normals, normals]), tmp_path).attributes) == {"normals"}


@pytest.mark.parametrize(
    "kind",
    [
        [("x", "f4"), ("y", "f4"), ("z", "f4"), ("intensity", "u2"), ("ring", "u1")],
        [("id", "i8"), ("x", "f8"), ("y", "f8"), ("z", "f8"), ("hist", "f4", (7,))],
        [("xyz", "f4", (3,)), ("label", "U5")],
        [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")],
    ],
)
def test_structured_arrays(kind, tmp_path):
    array = np.zeros(6, kind)
    for name in array.dtype.names:
        if array[name].dtype.kind != "U":
            array[name] = rng.integers(0, 100, array[name].shape)
    cloud = trip(array, tmp_path)
    assert len(cloud) == 6
    moved = cloud.with_points(cloud.points + 0.5)
    write(moved, tmp_path / "c.npy")
    assert np.load(tmp_path / "c.npy").dtype == array.dtype
    np.testing.assert_array_equal(read(tmp_path / "c.npy").points, moved.points)


def test_integers_do_not_round_moved_points(tmp_path):
    cloud = trip(np.arange(12).reshape(4, 3), tmp_path)
    write(cloud.with_points(cloud.points + 0.25), tmp_path / "c.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), cloud.points + 0.25)


def test_vectors_of_any_width(tmp_path):
    cloud = PointCloud(np.eye(3), {"f": np.arange(6.0).reshape(3, 2), "word": np.array(["a", "bb", "c"])})
    write(cloud, tmp_path / "a.npy")
    back = read(tmp_path / "a.npy")
    np.testing.assert_array_equal(back.attributes["f"], cloud.attributes["f"])
    np.testing.assert_array_equal(back.attributes["word"], cloud.attributes["word"])


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 500)), None),
        (np.zeros((3, 2)), "shape"),
        (np.zeros(9), "shape"),
        (np.zeros((0, 3)), "no points"),
        (np.zeros((5, 3), complex), "type complex"),
        (np.zeros((5, 3), "U3"), "shape"),
        (np.zeros(5, [("x", "f4"), ("y", "f4")]), "no column z"),
        (np.array([[None] * 3]), "not objects"),
    ],
)
def test_malformed(array, said, tmp_path):
    np.save(tmp_path / "a.npy", array)
    if said is None:
        assert len(read(tmp_path / "a.npy")) == 3
        return
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.npy")


def test_archives_are_sent_to_npz(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.eye(3))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(InputError, match=r"\.npz"):
        read(tmp_path / "a.npy")
