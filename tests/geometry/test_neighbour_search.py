"""The search among own points against known answers, all pairs and scipy's tree."""

from types import SimpleNamespace

import numba
import numpy as np
import pytest
from scipy.spatial import cKDTree

from pcdenoise.errors import InputError
from pcdenoise.geometry import neighbour_search
from pcdenoise.geometry.neighbour_search import NeighbourSearch


def sphere(n, noise):
    rng = np.random.default_rng(n)
    points = rng.normal(size=(n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) + noise * rng.normal(size=(n, 3))


def uneven():
    """A surface, a cluster a million times as dense and outliers at all distances."""
    rng = np.random.default_rng(0)
    cluster = rng.normal(size=(700, 3)) * 1e-6 + [0.3, 0.2, 1]
    outliers = rng.normal(size=(60, 3)) * 10.0 ** rng.uniform(0, 8, (60, 1))
    return rng.permutation(np.concatenate([sphere(900, 0.01), cluster, outliers]))


def lattice():
    grid = np.stack(np.meshgrid(*[np.arange(9.0)] * 3), axis=-1).reshape(-1, 3)
    return np.random.default_rng(0).permutation(grid)


CLOUDS = {
    "surface": lambda: sphere(3000, 0.02),
    "volume": lambda: np.random.default_rng(0).random((3000, 3)),
    "uneven": uneven,
    "lattice": lattice,
    "line": lambda: np.random.default_rng(0).random((1000, 1)) * [1.0, 2.0, 3.0],
    "copies": lambda: np.tile(sphere(150, 0.1), (7, 1)),
    "a crowd in one place": lambda: np.concatenate([sphere(900, 0.3), np.zeros((600, 3))]),
    "far away": lambda: sphere(1000, 0.01) + 1e7,
    "single precision": lambda: sphere(1000, 0.01).astype(np.float32),
}


def all_pairs(points, k):
    """Nearest first, equally distant ones by index; the sum in the order of the axes, as in the search."""
    x = points.astype(np.float64)
    offsets = x[:, None] - x
    distances = np.sqrt(offsets[..., 0] ** 2 + offsets[..., 1] ** 2 + offsets[..., 2] ** 2)
    np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


def assert_neighbours(points, distances, indices, expected, rows=slice(None)):
    """The same distances to the bit, and of those that share one with the last neighbour any."""
    np.testing.assert_array_equal(distances, expected[0][rows])
    sure = distances < distances[:, -1:]
    np.testing.assert_array_equal(indices[sure], expected[1][rows][sure])
    own = np.arange(len(points))[rows]
    assert (indices != own[:, None]).all()
    offsets = points[indices].astype(np.float64) - points[own][:, None]
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=2), distances, rtol=1e-12)
    assert (np.diff(indices, axis=1) > 0)[np.diff(distances, axis=1) == 0].all()


def test_on_a_line_of_unit_steps():
    points = np.arange(100.0)[:, None] * [0, 0, 1]
    distances, indices = NeighbourSearch(points)(np.array([50, 0]), 4)
    np.testing.assert_array_equal(indices, [[49, 51, 48, 52], [1, 2, 3, 4]])
    np.testing.assert_array_equal(distances, [[1, 1, 2, 2], [1, 2, 3, 4]])
    assert (distances.dtype, indices.dtype) == (np.float64, np.int32)


def test_inside_a_lattice_the_six_next_to_it():
    points = lattice()
    distances, indices = NeighbourSearch(points).of_all(6)
    for row in np.flatnonzero(((points > 0) & (points < 8)).all(axis=1)):
        assert indices[row].tolist() == np.flatnonzero(np.abs(points - points[row]).sum(axis=1) == 1).tolist()
        assert (distances[row] == 1).all()


@pytest.mark.parametrize("k", [1, 8, 12, 32, 100])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_agrees_with_all_pairs(cloud, k):
    points = CLOUDS[cloud]()
    assert_neighbours(points, *NeighbourSearch(points).of_all(k), all_pairs(points, k))


@pytest.mark.parametrize("n", [2, 3, 8, 9, 16, 17, 24, 25, 33, 41, 65, 100])
def test_small_clouds(n):
    points = sphere(n, 0.1)
    for k in {1, n // 2, n - 1}:
        assert_neighbours(points, *NeighbourSearch(points).of_all(k), all_pairs(points, k))


def test_agrees_with_the_tree_of_scipy():
    points = sphere(30_000, 0.01)
    distances, indices = cKDTree(points).query(points, 33)
    assert_neighbours(points, *NeighbourSearch(points).of_all(32), (distances[:, 1:], indices[:, 1:]))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_rows_in_any_number_and_order_get_the_same(cloud):
    points = CLOUDS[cloud]()
    search = NeighbourSearch(points)
    whole = search.of_all(12)
    rng = np.random.default_rng(0)
    for count in (1, 40, len(points) // 2):
        rows = rng.integers(len(points), size=count).astype(np.int32)  # some of them twice
        for found, expected in zip(search(rows, 12), whole, strict=True):
            np.testing.assert_array_equal(found, expected[rows])
    assert all(len(part) == 0 for part in search(np.arange(0), 12))


def test_coordinates_as_large_as_numbers_get():
    """Squares overflow: such points are infinitely far, the others are found."""
    points = np.concatenate([sphere(300, 0.1), [[1e200, 0, 0], [-1e308, 1e308, 1e308]]])
    distances, indices = NeighbourSearch(points).of_all(8)
    assert_neighbours(points[:300], distances[:300], indices[:300], all_pairs(points[:300], 8))
    assert np.isinf(distances[300:]).all()
    assert all(len(set(row)) == 8 for row in indices.tolist())


def test_the_order_holds_every_row_once_and_near_ones_together():
    points = sphere(5000, 0.01)
    order = NeighbourSearch(points).order
    assert sorted(order.tolist()) == list(range(5000))
    steps = np.linalg.norm(np.diff(points[order], axis=0), axis=1)
    assert np.median(steps) < 3 * np.sqrt(4 * np.pi / 5000)


def test_the_number_of_threads_changes_nothing():
    points = uneven()
    before = numba.get_num_threads()
    answers = []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            answers.append(NeighbourSearch(points).of_all(12))
    finally:
        numba.set_num_threads(before)
    for one, many in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_are_an_error(value):
    points = sphere(100, 0.1)
    points[7, 2] = value
    with pytest.raises(InputError, match=r"no neighbours to find: .*drop rows that are not finite"):
        NeighbourSearch(points)


def test_it_is_known_whether_a_run_has_to_compile(tmp_path, monkeypatch):
    NeighbourSearch(np.zeros((20, 3)))
    assert neighbour_search.compiled_before()
    elsewhere = SimpleNamespace(py_func=NeighbourSearch, stats=SimpleNamespace(cache_path=tmp_path))
    monkeypatch.setattr(neighbour_search, "_sorted", elsewhere)
    assert not neighbour_search.compiled_before()
