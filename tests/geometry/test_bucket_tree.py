"""The search for GPUs, which is plain torch, on the CPU against scipy's tree."""

import numpy as np
import pytest
import torch

from pcdenoise.errors import InputError
from pcdenoise.geometry import bucket_tree, neighbours
from pcdenoise.geometry.bucket_tree import BucketTree
from pcdenoise.geometry.neighbours import knn


def uneven():
    """A surface, a plane, a cluster a million times as dense and outliers at all distances."""
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(500, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    plane = rng.random((400, 3)) * [5, 5, 1e-4]
    cluster = rng.normal(size=(200, 3)) * 1e-6 + [0.3, 0.2, 1]
    outliers = rng.normal(size=(30, 3)) * 10.0 ** rng.uniform(0, 8, (30, 1))
    return rng.permutation(np.concatenate([sphere, plane, cluster, outliers]))


def lattice():
    return np.stack(np.meshgrid(*[np.arange(9.0)] * 3), axis=-1).reshape(-1, 3)[
        np.random.default_rng(0).permutation(729)
    ]


def assert_same(found, expected):
    """Equal distances; equal indices wherever no distance is shared, and in the order of the index elsewhere."""
    distances, indices = (np.asarray(part) for part in found)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-15)
    # the last one may share its distance with one that did not come in
    gaps = np.diff(expected[0], axis=1) > 0
    alone = np.pad(gaps, ((0, 0), (1, 0)), constant_values=True) & np.pad(gaps, ((0, 0), (0, 1)))
    np.testing.assert_array_equal(indices[alone], expected[1][alone])
    assert (np.diff(indices, axis=1) > 0)[~gaps].all()
    assert all(len(set(row)) == len(row) for row in indices.tolist())


@pytest.mark.parametrize("k", [1, 8, 33])
@pytest.mark.parametrize("make", [uneven, lattice])
def test_finds_what_the_tree_finds(make, k):
    points = make()
    tree = BucketTree(torch.from_numpy(points))
    assert_same(tree.neighbours(k), knn(points, k))
    assert sorted(tree.order.tolist()) == list(range(len(points)))


def test_points_without_ties_have_the_same_indices():
    points = np.random.default_rng(0).normal(size=(3000, 3))
    np.testing.assert_array_equal(BucketTree(torch.from_numpy(points)).neighbours(16)[1], knn(points, 16)[1])


def test_of_tied_neighbours_all_that_are_nearer_than_the_last_come_in():
    points = lattice()
    _, indices = BucketTree(torch.from_numpy(points)).neighbours(6)
    inner = np.flatnonzero(((points > 0) & (points < 8)).all(axis=1))
    for row in inner:
        assert indices[row].tolist() == np.flatnonzero(np.abs(points - points[row]).sum(axis=1) == 1).tolist()


def test_queries_from_anywhere():
    points = uneven()
    queries = np.concatenate([points[:50] + 0.01, [[1e9, 0, 0], [0, -3, 2e4]]])
    assert_same(BucketTree(torch.from_numpy(points)).nearest(torch.from_numpy(queries), 5), knn(points, 5, queries))


@pytest.mark.parametrize(
    "limits", [{"_CROWD": -40}, {"_CROWD": -40, "_PAIRS": 2000}, {"_DISTANCES": 3000}, {"_BLOCKS": 7}]
)
def test_limits_of_memory_change_nothing(limits, monkeypatch):
    points = torch.from_numpy(uneven())
    wanted = BucketTree(points).neighbours(9)
    for name, value in limits.items():
        monkeypatch.setattr(bucket_tree, name, value)
    assert all(torch.equal(a, b) for a, b in zip(BucketTree(points).neighbours(9), wanted, strict=True))


def test_memory_is_bounded(monkeypatch):
    """No pass holds more distances than allowed, as far as one block of queries allows it."""
    held = []

    def watched(self, at, buckets, *rest):
        held.append(at.shape[0] * at.shape[1] * buckets.shape[1] * self._members.shape[1])
        return squared(self, at, buckets, *rest)

    squared = BucketTree._squared
    monkeypatch.setattr(BucketTree, "_squared", watched)
    monkeypatch.setattr(bucket_tree, "_DISTANCES", 200_000)
    BucketTree(torch.from_numpy(uneven())).neighbours(9)
    assert max(held) <= 200_000


@pytest.mark.parametrize("copies", [3, 40])
@pytest.mark.parametrize("include_self", [False, True])
def test_duplicates(copies, include_self):
    cloud = np.concatenate([np.random.default_rng(0).normal(size=(20, 3))] * copies)
    distances, indices = BucketTree(torch.from_numpy(cloud)).neighbours(4, include_self=include_self)
    np.testing.assert_allclose(distances, knn(cloud, 4, include_self=include_self)[0], rtol=1e-15)
    assert ((indices == torch.arange(len(cloud))[:, None]).any(dim=1) == include_self).all()


@pytest.mark.parametrize(("n", "k"), [(2, 1), (15, 14), (16, 15), (33, 1), (70, 69)])
def test_small_clouds(n, k):
    points = np.random.default_rng(n).normal(size=(n, 3))
    assert_same(BucketTree(torch.from_numpy(points)).neighbours(k), knn(points, k))
    everything = BucketTree(torch.from_numpy(points)).nearest(torch.from_numpy(points[:1]), n)
    assert_same(everything, knn(points, n, points[:1]))


def test_float32_is_ranked_in_float64():
    points = (np.random.default_rng(0).normal(size=(600, 3)) * 1e-3 + 100).astype(np.float32)
    assert_same(BucketTree(torch.from_numpy(points)).neighbours(8), knn(points.astype(np.float64), 8))


def test_behind_knn(monkeypatch):
    """What `knn` makes of it for CUDA tensors: types, and an error for what is not finite."""
    points = torch.from_numpy(uneven()).float()
    distances, indices = neighbours._on_device(points, 5, None, False)
    assert (distances.dtype, indices.dtype) == (torch.float32, torch.int64)
    assert torch.equal(neighbours._on_device(points, 5, points[:9] + 1, False)[1], knn(points, 5, points[:9] + 1)[1])
    with pytest.raises(InputError, match="finite"):
        neighbours._on_device(torch.full((9, 3), torch.nan), 5, None, False)
    with pytest.raises(InputError, match="finite"):
        neighbours._on_device(points, 5, torch.full((9, 3), torch.inf), False)


@pytest.mark.gpu
def test_on_a_gpu_as_on_the_cpu():
    points = uneven()
    tree = BucketTree(torch.from_numpy(points).cuda())
    assert_same([part.cpu() for part in tree.neighbours(33)], knn(points, 33))
    cloud = np.random.default_rng(0).normal(size=(200_000, 3))
    first, second = (BucketTree(torch.from_numpy(cloud).cuda()).neighbours(32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    np.testing.assert_array_equal(first[1].cpu(), knn(cloud, 32)[1])
