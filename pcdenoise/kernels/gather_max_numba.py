"""The passes of `gather_max` on the CPU, in numba; shapes as in `pcdenoise.kernels.gather_max.Passes`."""

from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.kernels.vectors import row_maximum, row_maximum_and_argument

VECTORS = "18554ffaa61a"  # what `vectors` is: numba compiles again only where this file has changed
CHANNEL_BLOCK = 16  # one cache line of float32; a block of channels is summed by one thread, in row order

# Contraction to fused multiply-add, no reassociation: the same bits at any thread count.
_FAST = {"contract", "nnan", "ninf", "nsz"}


def maximum(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """The maximum alone."""
    out = torch.empty(idx.shape[0], h.shape[1], dtype=h.dtype)
    _fill_maximum(*_arrays(h, idx, edges, weight, out))
    return out


def maximum_and_argument(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum and the neighbour that has it."""
    out = torch.empty(idx.shape[0], h.shape[1], dtype=h.dtype)
    arg = torch.empty(out.shape, dtype=torch.int8)
    _fill_maximum_and_argument(*_arrays(h, idx, edges, weight, out, arg))
    return out, arg


def scatter_to_rows(g: Tensor, idx: Tensor, arg: Tensor, rows: int) -> Tensor:
    """`out[idx[i, arg[i, c]], c] += g[i, c]`, in the order of the rows."""
    out = g.new_zeros(rows, g.shape[1])
    _fill_rows(*_arrays(g, idx, arg, out))
    return out


def sum_over_channels(g: Tensor, weight: Tensor, arg: Tensor, k: int) -> Tensor:
    """`out[i, arg[i, c], e] += g[i, c] * weight[e, c]`."""
    out = g.new_zeros(len(g), k, len(weight))
    _fill_over_channels(*_arrays(g, weight, arg, out))
    return out


def sum_over_points(g: Tensor, edges: Tensor, arg: Tensor) -> Tensor:
    """`out[e, c] += g[i, c] * edges[i, arg[i, c], e]`, in the order of the rows."""
    out = g.new_zeros(edges.shape[2], g.shape[1])
    _fill_over_points(*_arrays(g, edges, arg, out))
    return out


def add_rows(out: Tensor, h: Tensor, idx: Tensor, arg: Tensor) -> None:
    """`out[i, c] += h[idx[i, arg[i, c]], c]`."""
    _gather_rows(*_arrays(h, idx, arg, out))


def add_edge_terms(out: Tensor, edges: Tensor, weight: Tensor, arg: Tensor) -> None:
    """`out[i, c] += sum_e edges[i, arg[i, c], e] * weight[e, c]`."""
    _gather_edge_terms(*_arrays(edges, weight, arg, out))


def _arrays(*tensors: Tensor) -> list[NDArray[Any]]:
    return [tensor.detach().numpy() for tensor in tensors]


@numba.njit(parallel=True, cache=True)
def _fill_maximum(h, idx, edges, weight, out):  # type: ignore[no-untyped-def]
    for i in numba.prange(len(idx)):
        row_maximum(i, h, idx, edges, weight, out)


@numba.njit(parallel=True, cache=True)
def _fill_maximum_and_argument(h, idx, edges, weight, out, arg):  # type: ignore[no-untyped-def]
    for i in numba.prange(len(idx)):
        row_maximum_and_argument(i, h, idx, edges, weight, out, arg)


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _fill_rows(g, idx, arg, grad_h):  # type: ignore[no-untyped-def]
    n, channels = g.shape
    blocks = (channels + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    for b in numba.prange(blocks):
        low = b * CHANNEL_BLOCK
        high = min(channels, low + CHANNEL_BLOCK)
        for i in range(n):
            for c in range(low, high):
                grad_h[idx[i, arg[i, c]], c] += g[i, c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _fill_over_points(g, edges, arg, grad_weight):  # type: ignore[no-untyped-def]
    n, channels = g.shape
    blocks = (channels + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    for b in numba.prange(blocks):
        low = b * CHANNEL_BLOCK
        high = min(channels, low + CHANNEL_BLOCK)
        sums = np.zeros((4, CHANNEL_BLOCK), g.dtype)
        for i in range(n):
            for c in range(low, high):
                j = arg[i, c]
                value = g[i, c]
                sums[0, c - low] += value * edges[i, j, 0]
                sums[1, c - low] += value * edges[i, j, 1]
                sums[2, c - low] += value * edges[i, j, 2]
                sums[3, c - low] += value * edges[i, j, 3]
        for e in range(4):
            for c in range(low, high):
                grad_weight[e, c] = sums[e, c - low]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _fill_over_channels(g, weight, arg, grad_edges):  # type: ignore[no-untyped-def]
    n, channels = g.shape
    for i in numba.prange(n):
        for c in range(channels):
            j = arg[i, c]
            for e in range(4):
                grad_edges[i, j, e] += g[i, c] * weight[e, c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _gather_rows(h, idx, arg, out):  # type: ignore[no-untyped-def]
    n, channels = out.shape
    for i in numba.prange(n):
        for c in range(channels):
            out[i, c] += h[idx[i, arg[i, c]], c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _gather_edge_terms(edges, weight, arg, out):  # type: ignore[no-untyped-def]
    n, channels = out.shape
    for i in numba.prange(n):
        for c in range(channels):
            j = arg[i, c]
            out[i, c] += (
                edges[i, j, 0] * weight[0, c]
                + edges[i, j, 1] * weight[1, c]
                + edges[i, j, 2] * weight[2, c]
                + edges[i, j, 3] * weight[3, c]
            )
