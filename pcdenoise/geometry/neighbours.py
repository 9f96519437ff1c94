"""Exact nearest neighbours, behind one function, on the CPU and on a GPU."""

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.errors import InputError
from pcdenoise.geometry.neighbour_search import NeighbourSearch

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float64] | NDArray[np.float32]


@overload
def knn(
    points: FloatArray, k: int, queries: FloatArray | None = None, *, include_self: bool = False
) -> tuple[NDArray[Any], NDArray[np.int32]]: ...
@overload
def knn(
    points: "torch.Tensor", k: int, queries: "torch.Tensor | None" = None, *, include_self: bool = False
) -> "tuple[torch.Tensor, torch.Tensor]": ...
def knn(points: Any, k: int, queries: Any = None, *, include_self: bool = False) -> tuple[Any, Any]:
    """The `k` points nearest to each query, nearest first; equally distant ones in the order of their index.

    On the CPU a cloud's own points go through `NeighbourSearch` and others through scipy's KD-tree, both on all cores;
    CUDA tensors go through `BucketTree` on their device. All take distances in float64, are exact and give the same
    answer on every run. Where several points share the k-th distance, which of them come in is the search's choice.

    Args:
        points: (n, 3) float32 or float64, finite.
        k: neighbours per query.
        queries: (m, 3), same type as `points`; without it the points themselves are asked about.
        include_self: for `queries=None` only. If false, row i never holds i (its duplicates may stay); if true,
            it always does.

    Returns:
        distances (m, k), in the type of `points`, and indices (m, k) int32 into `points` (int64 for tensors, which
        torch needs to index with).

    Raises:
        InputError: fewer than k points (k + 1 where a point is not its own neighbour), or coordinates not finite.
    """
    own = queries is None
    available = len(points) - (1 if own and not include_self else 0)
    if k < 1 or k > available:
        raise InputError(f"{k} neighbours asked of {len(points)} points; ask for 1 to {max(available, 1)}")
    if not isinstance(points, np.ndarray):
        return _of_tensors(points, k, queries, include_self)
    if own and not include_self:
        distances, indices = NeighbourSearch(points).of_all(k)
    elif own:
        tree = build_tree(points)
        distances, indices = _with_self(*query_tree(tree, points, k), np.arange(len(points)))
        _sort_ties(distances, indices)
    else:
        distances, indices = query_tree(build_tree(points), queries, k)
        _sort_ties(distances, indices)
    return distances.astype(points.dtype, copy=False), indices


def _sort_ties(distances: NDArray[np.float64], indices: NDArray[np.int32]) -> None:
    """Puts equally distant neighbours in the order of their index, in place."""
    tied = np.flatnonzero((distances[:, 1:] == distances[:, :-1]).any(axis=1))
    rank = np.lexsort((indices[tied], distances[tied]), axis=1)
    indices[tied] = np.take_along_axis(indices[tied], rank, axis=1)


def build_tree(points: FloatArray) -> cKDTree:
    """scipy's KD-tree, built the fast way; InputError if coordinates are not finite."""
    try:
        return cKDTree(points, balanced_tree=False)
    except ValueError as error:
        raise InputError(f"no neighbours to find: {error}; drop rows that are not finite") from None


def query_tree(tree: cKDTree, queries: FloatArray, k: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Distances and indices (m, k) of the nearest points in a tree; InputError if queries are not finite."""
    try:
        distances, indices = tree.query(queries, np.arange(1, k + 1), workers=-1)
    except ValueError as error:
        raise InputError(f"no neighbours to find: {error}; drop queries that are not finite") from None
    return np.asarray(distances, dtype=np.float64), np.asarray(indices, dtype=np.int32)


def _with_self(
    distances: NDArray[np.float64], indices: NDArray[np.int32], rows: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Puts rows[r] in place of the last neighbour where duplicates crowded it out; all distances there are zero."""
    missing = ~(indices == rows[:, None]).any(axis=1)
    indices[missing, -1] = rows[missing]
    return distances, indices


def _of_tensors(
    points: "torch.Tensor", k: int, queries: "torch.Tensor | None", include_self: bool
) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    if points.is_cuda:
        return _on_device(points, k, queries, include_self)
    asked = None if queries is None else queries.detach().numpy()
    distances, indices = knn(points.detach().numpy(), k, asked, include_self=include_self)
    return torch.from_numpy(distances), torch.from_numpy(indices).long()


def _on_device(
    points: "torch.Tensor", k: int, queries: "torch.Tensor | None", include_self: bool
) -> "tuple[torch.Tensor, torch.Tensor]":
    """`knn` in plain torch on the tensors' own device."""
    import torch

    from pcdenoise.geometry.bucket_tree import BucketTree

    if not (torch.isfinite(points).all() and (queries is None or torch.isfinite(queries).all())):
        raise InputError("coordinates are not finite; drop such rows before asking for neighbours")
    tree = BucketTree(points)
    found = tree.neighbours(k, include_self=include_self) if queries is None else tree.nearest(queries, k)
    return found[0].to(points.dtype), found[1].long()
