import numpy as np

from pcdenoise.geometry.morton import morton_codes, morton_order
from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.subsets import interleaved_subsets, subsets_apart


def test_morton_codes_interleave_bits():
    cells = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [3, 3, 3], [2**21 - 1] * 3])
    assert morton_codes(cells).tolist() == [0, 1, 2, 4, 8, 63, 2**63 - 1]


def test_the_morton_order_goes_from_octant_to_octant():
    points = np.random.default_rng(0).random((4000, 3))
    points = np.concatenate([points, [[0.0, 0, 0], [1.0, 1, 1]]])
    octants = (points[morton_order(points)] > 0.5) @ np.array([1, 2, 4])
    assert (np.diff(octants) >= 0).all()


def test_subsets_do_not_depend_on_the_order_of_rows_or_the_place_of_the_cloud():
    rng = np.random.default_rng(1)
    points = rng.standard_normal((1000, 3))
    subsets, order = interleaved_subsets(points, 3), rng.permutation(1000)
    np.testing.assert_array_equal(interleaved_subsets(points[order], 3), subsets[order])
    np.testing.assert_array_equal(interleaved_subsets(4 * points + 32, 3), subsets)
    assert np.bincount(subsets).tolist() == [334, 333, 333]


def test_each_subset_covers_the_shape():
    """Of a plane grid each of four subsets has every fourth point: its neighbours are twice as far."""
    grid = np.stack([*np.meshgrid(np.arange(64.0), np.arange(64.0)), np.zeros((64, 64))], axis=-1).reshape(-1, 3)
    subsets = interleaved_subsets(grid, 4)
    for subset in range(4):
        distances, _ = knn(grid[subsets == subset], 1)
        assert np.median(distances) == 2.0


def test_no_neighbour_lies_in_another_subset():
    points = np.random.default_rng(2).standard_normal((600, 3)) * [5.0, 1.0, 0.1]
    shifts = subsets_apart(points, 5)
    subsets = interleaved_subsets(points, 5)
    _, apart = knn(points + shifts, 119)
    assert (subsets[apart] == subsets[:, None]).all()
    for subset in range(5):
        rows = np.flatnonzero(subsets == subset)
        _, alone = knn(points[rows], 20)
        np.testing.assert_array_equal(apart[rows, :20], rows[alone])
    assert not subsets_apart(points, 1).any()
