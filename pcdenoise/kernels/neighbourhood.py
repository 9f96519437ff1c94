"""What a network sees of the positions: edges and neighbourhood moments, in units of the local spacing."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.kernels.array_graph import MOMENTS, ArrayGraph, array_graph, edges_and_moments, signs_of


@dataclass(frozen=True)
class NeighbourGraph:
    """A static k-NN graph and its geometry. Rows come in rings: the rows that are wanted first, then their
    neighbours, then the neighbours' neighbours, so that layer `l` only needs to compute the first `sizes[l]` rows.

    Attributes:
        idx: (n, k) int32, the k nearest neighbours of each row, nearest first, without the row itself.
        edges: (n, k, 4) float32, offset `(p_j - p_i) / s_i` and its length.
        moments: (n, len(neighbourhoods), 9) float32, mean and covariance (xx, yy, zz, xy, xz, yz) of the offsets to
            the nearest 4, 8, ... neighbours.
        spacing: (n, 1) float32, the local spacing `s_i` in the unit of the points.
        sizes: rows computed by the input layer and by each block; non-increasing.
    """

    idx: Tensor
    edges: Tensor
    moments: Tensor
    spacing: Tensor
    sizes: tuple[int, ...]

    def to(self, device: torch.device | str) -> "NeighbourGraph":
        """The same graph on another device."""
        return NeighbourGraph(
            self.idx.to(device), self.edges.to(device), self.moments.to(device), self.spacing.to(device), self.sizes
        )

    def arrays(self) -> ArrayGraph:
        """The same graph in arrays that share its memory, without gradients; on the CPU."""
        idx, edges, moments, spacing = (
            its.detach().numpy() for its in (self.idx, self.edges, self.moments, self.spacing)
        )
        return ArrayGraph(idx, edges, moments, spacing, self.sizes)

    @staticmethod
    def of(graph: ArrayGraph) -> "NeighbourGraph":
        """The graph of these arrays, which it shares."""
        arrays = (graph.idx, graph.edges, graph.moments, graph.spacing)
        idx, edges, moments, spacing = (torch.from_numpy(its) for its in arrays)
        return NeighbourGraph(idx, edges, moments, spacing, graph.sizes)

    def half_turned(self, signs: tuple[int, int, int]) -> "NeighbourGraph":
        """The graph of the points turned by half a turn about an axis, to the bit.

        Args:
            signs: of the three coordinates, with the product 1.
        """
        if signs == (1, 1, 1):
            return self
        of_edges, of_moments = (self.edges.new_tensor(its) for its in signs_of(signs))
        return replace(self, edges=self.edges * of_edges, moments=self.moments * of_moments)


def build_graph(
    points: NDArray[np.float64],
    idx: NDArray[np.int32],
    spacing: NDArray[np.float64],
    neighbourhoods: tuple[int, ...],
    sizes: tuple[int, ...],
) -> NeighbourGraph:
    """`pcdenoise.kernels.array_graph.array_graph` in tensors."""
    return NeighbourGraph.of(array_graph(points, idx, spacing, neighbourhoods, sizes))


def build_graph_at(
    x: Tensor,
    idx: Tensor,
    spacing: Tensor,
    neighbourhoods: tuple[int, ...],
    sizes: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
) -> NeighbourGraph:
    """`build_graph` as a twice differentiable function of the positions; neighbours and spacing are constants.

    The length of an edge between coincident points has no derivative; zero stands in for it. Fused on the CPU, with
    the same bits at any thread count; plain torch elsewhere.

    Args:
        x: (m, 3) float64 or float32; offsets are taken in its dtype.
        idx: (n, k) int32 with n <= m, neighbours of the first n points, nearest first.
        spacing: (n, 1) local spacing, positive.
        neighbourhoods: increasing neighbour counts, the last at most k.
        sizes: see `NeighbourGraph`.
        dtype: of the edges, moments and spacing that are returned.
    """
    if x.device.type == "cpu":
        edges, moments = _EdgesAndMoments.apply(  # type: ignore[no-untyped-call]
            x.contiguous(), idx, spacing.flatten(), np.array(neighbourhoods), dtype
        )
    else:
        edges, moments = edges_and_moments_reference(x, idx, spacing, neighbourhoods, dtype)
    return NeighbourGraph(idx, edges, moments, spacing.to(dtype), sizes)


def edges_and_moments_reference(
    x: Tensor, idx: Tensor, spacing: Tensor, neighbourhoods: tuple[int, ...], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The definition of `NeighbourGraph.edges` and `.moments` in plain torch, on any device."""
    neighbours = x.index_select(0, idx.long().flatten()).view(*idx.shape, 3)
    offsets = ((neighbours - x[: len(idx), None]) / spacing[:, None]).to(dtype)
    squared = offsets.square().sum(dim=2, keepdim=True)
    apart = squared > 0
    length = torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)
    moments = []
    for count in neighbourhoods:
        mean = offsets[:, :count].mean(dim=1)
        centred = offsets[:, :count] - mean[:, None]
        covariance = centred.mT @ centred / count
        moments.append(torch.cat([mean, covariance[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]], dim=1))
    return torch.cat([offsets, length], dim=2), torch.stack(moments, dim=1)


class _EdgesAndMoments(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, idx: Tensor, spacing: Tensor, neighbourhoods: NDArray[np.integer[Any]], dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, idx, spacing)
        ctx.neighbourhoods = neighbourhoods
        edges = torch.empty(*idx.shape, 4, dtype=dtype)
        moments = torch.empty(len(idx), len(neighbourhoods), MOMENTS, dtype=dtype)
        points = x.detach().numpy()
        edges_and_moments(points, idx.numpy(), spacing.numpy(), neighbourhoods, edges.numpy(), moments.numpy())
        return edges, moments

    @staticmethod
    def backward(ctx: Any, on_edges: Tensor, on_moments: Tensor) -> tuple[Tensor | None, ...]:
        x, idx, spacing = ctx.saved_tensors
        grad_x = _Backward.apply(  # type: ignore[no-untyped-call]
            x, on_edges.contiguous(), on_moments.contiguous(), idx, spacing, ctx.neighbourhoods
        )
        return grad_x, None, None, None, None


class _Backward(torch.autograd.Function):
    """Gradient with respect to the positions. It is linear in `on_edges` and `on_moments`, so that its own gradient
    with respect to these is the derivative of edges and moments along the incoming direction.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        on_edges: Tensor,
        on_moments: Tensor,
        idx: Tensor,
        spacing: Tensor,
        neighbourhoods: NDArray[np.integer[Any]],
    ) -> Tensor:
        ctx.save_for_backward(x, on_edges, on_moments, idx, spacing)
        ctx.neighbourhoods = neighbourhoods
        points, edges, moments = (tensor.detach().numpy() for tensor in (x, on_edges, on_moments))
        grad_offsets = np.empty((*idx.shape, 3), points.dtype)
        _pull_back(points, idx.numpy(), spacing.numpy(), neighbourhoods, edges, moments, grad_offsets)
        return _scattered(grad_offsets, idx, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, ...]:
        x, on_edges, on_moments, idx, spacing = ctx.saved_tensors
        points, along, edges, moments = (
            tensor.detach().numpy() for tensor in (x, direction.contiguous(), on_edges, on_moments)
        )
        grad_offsets = np.empty((*idx.shape, 3), points.dtype)
        edges_along, moments_along = np.empty_like(edges), np.empty_like(moments)
        _push_forward(points, along, idx.numpy(), spacing.numpy(), ctx.neighbourhoods, edges_along, moments_along)
        _pull_back_along(points, along, idx.numpy(), spacing.numpy(), ctx.neighbourhoods, edges, moments, grad_offsets)
        grad_x = _scattered(grad_offsets, idx, x)
        return grad_x, torch.from_numpy(edges_along), torch.from_numpy(moments_along), None, None, None


def _scattered(grad_offsets: NDArray[Any], idx: Tensor, x: Tensor) -> Tensor:
    grad_x = torch.zeros_like(x)
    _scatter_to_points(grad_offsets, idx.numpy(), grad_x.numpy())
    return grad_x


@numba.njit(cache=True)
def _offsets(points, i, neighbours, inverse):  # type: ignore[no-untyped-def]
    offsets = np.empty((len(neighbours), 3))
    for j in range(len(neighbours)):
        for a in range(3):
            offsets[j, a] = (points[neighbours[j], a] - points[i, a]) * inverse
    return offsets


@numba.njit(cache=True)
def _mean(values, count):  # type: ignore[no-untyped-def]
    mean = np.zeros(3)
    for j in range(count):
        for a in range(3):
            mean[a] += values[j, a]
    return mean / count


@numba.njit(cache=True)
def _add_covariance_gradients(values, neighbourhoods, on_moments, gradient):  # type: ignore[no-untyped-def]
    """The gradient of sum(on_covariance * covariance) is linear in the offsets; apply that map to `values`."""
    for size in range(len(neighbourhoods)):
        count = neighbourhoods[size]
        mean = _mean(values, count)
        scale = 1.0 / count
        xx, yy, zz = 2 * on_moments[size, 3] * scale, 2 * on_moments[size, 4] * scale, 2 * on_moments[size, 5] * scale
        xy, xz, yz = on_moments[size, 6] * scale, on_moments[size, 7] * scale, on_moments[size, 8] * scale
        for j in range(count):
            x, y, z = values[j, 0] - mean[0], values[j, 1] - mean[1], values[j, 2] - mean[2]
            gradient[j, 0] += xx * x + xy * y + xz * z
            gradient[j, 1] += xy * x + yy * y + yz * z
            gradient[j, 2] += xz * x + yz * y + zz * z


@numba.njit(parallel=True, cache=True)
def _pull_back(points, idx, spacing, neighbourhoods, on_edges, on_moments, grad_offsets):  # type: ignore[no-untyped-def]
    n, k = idx.shape
    for i in numba.prange(n):
        inverse = 1.0 / spacing[i]
        offsets = _offsets(points, i, idx[i], inverse)
        gradient = np.zeros((k, 3))
        _add_covariance_gradients(offsets, neighbourhoods, on_moments[i], gradient)
        for size in range(len(neighbourhoods)):
            count = neighbourhoods[size]
            for j in range(count):
                for a in range(3):
                    gradient[j, a] += on_moments[i, size, a] / count
        for j in range(k):
            length = math.sqrt(offsets[j, 0] ** 2 + offsets[j, 1] ** 2 + offsets[j, 2] ** 2)
            pull = on_edges[i, j, 3] / length if length > 0 else 0.0
            for a in range(3):
                grad_offsets[i, j, a] = (gradient[j, a] + on_edges[i, j, a] + pull * offsets[j, a]) * inverse


@numba.njit(parallel=True, cache=True)
def _push_forward(points, along, idx, spacing, neighbourhoods, edges_along, moments_along):  # type: ignore[no-untyped-def]
    """Derivative of edges and moments when the points move by `along`."""
    n, k = idx.shape
    for i in numba.prange(n):
        inverse = 1.0 / spacing[i]
        offsets = _offsets(points, i, idx[i], inverse)
        moves = _offsets(along, i, idx[i], inverse)
        for j in range(k):
            x, y, z = offsets[j, 0], offsets[j, 1], offsets[j, 2]
            length = math.sqrt(x * x + y * y + z * z)
            growth = x * moves[j, 0] + y * moves[j, 1] + z * moves[j, 2]
            edges_along[i, j, 0] = moves[j, 0]
            edges_along[i, j, 1] = moves[j, 1]
            edges_along[i, j, 2] = moves[j, 2]
            edges_along[i, j, 3] = growth / length if length > 0 else 0.0
        for size in range(len(neighbourhoods)):
            count = neighbourhoods[size]
            mean, drift = _mean(offsets, count), _mean(moves, count)
            xx = yy = zz = xy = xz = yz = 0.0
            for j in range(count):
                x, y, z = offsets[j, 0] - mean[0], offsets[j, 1] - mean[1], offsets[j, 2] - mean[2]
                u, v, w = moves[j, 0] - drift[0], moves[j, 1] - drift[1], moves[j, 2] - drift[2]
                xx += 2 * x * u
                yy += 2 * y * v
                zz += 2 * z * w
                xy += x * v + y * u
                xz += x * w + z * u
                yz += y * w + z * v
            for a in range(3):
                moments_along[i, size, a] = drift[a]
            moments_along[i, size, 3] = xx / count
            moments_along[i, size, 4] = yy / count
            moments_along[i, size, 5] = zz / count
            moments_along[i, size, 6] = xy / count
            moments_along[i, size, 7] = xz / count
            moments_along[i, size, 8] = yz / count


@numba.njit(parallel=True, cache=True)
def _pull_back_along(points, along, idx, spacing, neighbourhoods, on_edges, on_moments, grad_offsets):  # type: ignore[no-untyped-def]
    """Derivative of `_pull_back` when the points move by `along`."""
    n, k = idx.shape
    for i in numba.prange(n):
        inverse = 1.0 / spacing[i]
        offsets = _offsets(points, i, idx[i], inverse)
        moves = _offsets(along, i, idx[i], inverse)
        gradient = np.zeros((k, 3))
        _add_covariance_gradients(moves, neighbourhoods, on_moments[i], gradient)
        for j in range(k):
            x, y, z = offsets[j, 0], offsets[j, 1], offsets[j, 2]
            squared = x * x + y * y + z * z
            pull = on_edges[i, j, 3] / math.sqrt(squared) if squared > 0 else 0.0
            radial = (x * moves[j, 0] + y * moves[j, 1] + z * moves[j, 2]) / squared if squared > 0 else 0.0
            for a in range(3):
                across = moves[j, a] - radial * offsets[j, a]
                grad_offsets[i, j, a] = (gradient[j, a] + pull * across) * inverse


@numba.njit(cache=True)
def _scatter_to_points(grad_offsets, idx, grad_x):  # type: ignore[no-untyped-def]
    """One thread: about a millisecond, and a fixed order of summation."""
    n, k = idx.shape
    for i in range(n):
        for j in range(k):
            for a in range(3):
                grad_x[idx[i, j], a] += grad_offsets[i, j, a]
                grad_x[i, a] -= grad_offsets[i, j, a]
