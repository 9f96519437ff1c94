import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.io import read, write


@pytest.mark.parametrize("key", ["points", "xyz", "pos", "vertices", "XYZ", "coords"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_every_key_comes_back(key, kind, tmp_path):
    arrays = {
        "rgb": np.arange(12, dtype=np.uint8).reshape(4, 3),
        key: np.arange(12).reshape(4, 3).astype(kind) / 7,
        "label": np.array(["a", "b", "c", "d"]),
        "faces": np.array([[0, 1, 2]]),
        "scale": np.array(0.5),
        "flag": np.array([True, False, True, True]),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    cloud = read(tmp_path / "a.npz")
    assert set(cloud.attributes) == {"colors", "label", "flag"}
    write(cloud, tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as found:
        assert set(found.files) == set(arrays)
        for name, values in arrays.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)


def test_awkward_names(tmp_path):
    cloud = PointCloud(np.eye(3), {"file": np.arange(3), "a b/c": np.arange(3.0), "points": np.ones(3)})
    write(cloud, tmp_path / "a.npz")
    back = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.points, cloud.points)
    np.testing.assert_array_equal(back.attributes["file"], np.arange(3))
    np.testing.assert_array_equal(back.attributes["a b/c"], np.arange(3.0))
    np.testing.assert_array_equal(back.attributes["points_"], np.ones(3))


def test_objects_are_dropped_with_a_word(tmp_path):
    ragged = np.empty(3, dtype=object)
    ragged[:] = [[1], [1, 2], []]
    with pytest.warns(UserWarning, match="ragged"):
        write(PointCloud(np.eye(3), {"ragged": ragged}), tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"cloud": np.eye(3)}, r"no \(n, 3\) array"),
        ({"points": np.zeros((3, 4))}, r"no \(n, 3\) array"),
        ({"points": np.zeros((0, 3))}, "no points"),
        ({"points": np.full((2, 3), "a")}, "save numbers"),
        ({"points": np.full((2, 3), None)}, "not objects"),
    ],
)
def test_malformed(arrays, said, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=said):
        read(tmp_path / "a.npz")


def test_corrupt(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.random.default_rng(0).normal(size=(50, 3)))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[400] ^= 255
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(InputError):
        read(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.eye(3))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(InputError, match=r"\.npy"):
        read(tmp_path / "b.npz")
