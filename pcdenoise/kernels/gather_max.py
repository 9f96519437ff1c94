"""The neighbourhood operation of linear-first EdgeConv, fused: gather, add the edge term, take the maximum.

    out[i, c] = max_j  h[idx[i, j], c] + sum_e edges[i, j, e] * weight[e, c]

Because the linear maps act before the maximum and SiLU-like activations after it, an EdgeConv layer costs two GEMMs per
point and one pass of this kernel over the edges, instead of an MLP per edge (Wang et al., "Dynamic Graph CNN", 2019).
In the backward pass only the arg-max edge of each channel receives gradient. The backward pass can itself be
differentiated once, which is what an energy needs that is trained through its gradient.
"""

from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EDGE_FEATURES = 4  # offset (3) and distance (1)
CHANNEL_BLOCK = 16  # one cache line of float32; a block of channels is summed by one thread, in row order

# Contraction to fused multiply-add, no reassociation: the same bits at any thread count.
_FAST = {"contract", "nnan", "ninf", "nsz"}


def gather_max(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """Fused gather-max; numba on the CPU, plain torch elsewhere.

    Args:
        h: (m, C) features of the points that are gathered, float32 or float64.
        idx: (n, k) int32 rows of `h`, k at most 127.
        edges: (n, k, 4) edge features, same dtype as `h`.
        weight: (4, C).

    Returns:
        (n, C). Twice differentiable in `h`, `edges` and `weight`; of equal maxima the first neighbour counts.
    """
    if h.device.type == "cpu":
        # made contiguous out here, where autograd sees it
        return _GatherMax.apply(  # type: ignore[no-any-return, no-untyped-call]
            h.contiguous(), idx, edges.contiguous(), weight.contiguous()
        )
    return gather_max_reference(h, idx, edges, weight)


def gather_max_reference(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """The definition in plain torch, on any device: n * k * C values pass through memory."""
    return (h[idx.long()] + edges @ weight).max(dim=1).values


class _GatherMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        out = torch.empty(idx.shape[0], h.shape[1], dtype=h.dtype)
        if any(ctx.needs_input_grad):
            arg = torch.empty(out.shape, dtype=torch.int8)
            _forward_with_argmax(*_arrays(h, idx, edges, weight, out, arg))
            ctx.save_for_backward(idx, edges, weight, arg)
            ctx.rows = h.shape[0]
        else:
            _forward(*_arrays(h, idx, edges, weight, out))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        idx, edges, weight, arg = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[i] for i in (0, 2, 3)]
        grad_h, grad_edges, grad_weight = _Backward.apply(  # type: ignore[no-untyped-call]
            gradient.contiguous(), edges, weight, idx, arg, ctx.rows, wanted
        )
        return grad_h, None, grad_edges, grad_weight


class _Backward(torch.autograd.Function):
    """Linear in the incoming gradient `g`. With `a = arg[i, c]` the arg-max edge, summed over all `(i, c)`:

    grad_h[idx[i, a], c] += g[i, c]
    grad_edges[i, a, e] += g[i, c] * weight[e, c]
    grad_weight[e, c] += g[i, c] * edges[i, a, e]
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, edges: Tensor, weight: Tensor, idx: Tensor, arg: Tensor, rows: int, wanted: list[bool]
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(g, edges, weight, idx, arg)
        ctx.set_materialize_grads(False)
        grad_h = grad_edges = grad_weight = None
        if wanted[0]:
            grad_h = g.new_zeros(rows, g.shape[1])
            _scatter_to_rows(*_arrays(g, idx, arg, grad_h))
        if wanted[1]:
            grad_edges = torch.zeros_like(edges)
            _sum_over_channels(*_arrays(g, weight, arg, grad_edges))
        if wanted[2]:
            grad_weight = torch.zeros_like(weight)
            _sum_over_points(*_arrays(g, edges, arg, grad_weight))
        return grad_h, grad_edges, grad_weight

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, on_h: Tensor | None, on_edges: Tensor | None, on_weight: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        g, edges, weight, idx, arg = ctx.saved_tensors
        grad_g = grad_edges = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_g = torch.zeros_like(g)
            if on_h is not None:
                _add_rows(*_arrays(on_h.contiguous(), idx, arg, grad_g))
            if on_edges is not None:
                _add_edge_terms(*_arrays(on_edges.contiguous(), weight, arg, grad_g))
            if on_weight is not None:
                _add_edge_terms(*_arrays(edges, on_weight.contiguous(), arg, grad_g))
        if ctx.needs_input_grad[1] and on_weight is not None:
            grad_edges = torch.zeros_like(edges)
            _sum_over_channels(*_arrays(g, on_weight.contiguous(), arg, grad_edges))
        if ctx.needs_input_grad[2] and on_edges is not None:
            grad_weight = torch.zeros_like(weight)
            _sum_over_points(*_arrays(g, on_edges.contiguous(), arg, grad_weight))
        return grad_g, grad_edges, grad_weight, None, None, None, None


def _arrays(*tensors: Tensor) -> list[NDArray[Any]]:
    return [tensor.detach().numpy() for tensor in tensors]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _forward(h, idx, edges, weight, out):  # type: ignore[no-untyped-def]
    n, k = idx.shape
    channels = h.shape[1]
    for i in numba.prange(n):
        for j in range(k):
            s = idx[i, j]
            e0, e1, e2, e3 = edges[i, j, 0], edges[i, j, 1], edges[i, j, 2], edges[i, j, 3]
            if j == 0:
                for c in range(channels):
                    out[i, c] = h[s, c] + (
                        e0 * weight[0, c] + e1 * weight[1, c] + e2 * weight[2, c] + e3 * weight[3, c]
                    )
            else:
                for c in range(channels):
                    v = h[s, c] + (e0 * weight[0, c] + e1 * weight[1, c] + e2 * weight[2, c] + e3 * weight[3, c])
                    out[i, c] = v if v > out[i, c] else out[i, c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _forward_with_argmax(h, idx, edges, weight, out, arg):  # type: ignore[no-untyped-def]
    n, k = idx.shape
    channels = h.shape[1]
    for i in numba.prange(n):
        for j in range(k):
            s = idx[i, j]
            e0, e1, e2, e3 = edges[i, j, 0], edges[i, j, 1], edges[i, j, 2], edges[i, j, 3]
            if j == 0:
                for c in range(channels):
                    out[i, c] = h[s, c] + (
                        e0 * weight[0, c] + e1 * weight[1, c] + e2 * weight[2, c] + e3 * weight[3, c]
                    )
                    arg[i, c] = 0
            else:
                for c in range(channels):
                    v = h[s, c] + (e0 * weight[0, c] + e1 * weight[1, c] + e2 * weight[2, c] + e3 * weight[3, c])
                    larger = v > out[i, c]
                    out[i, c] = v if larger else out[i, c]
                    arg[i, c] = j if larger else arg[i, c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _scatter_to_rows(g, idx, arg, grad_h):  # type: ignore[no-untyped-def]
    n, channels = g.shape
    blocks = (channels + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK
    for b in numba.prange(blocks):
        low = b * CHANNEL_BLOCK
        high = min(channels, low + CHANNEL_BLOCK)
        for i in range(n):
            for c in range(low, high):
                grad_h[idx[i, arg[i, c]], c] += g[i, c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _sum_over_points(g, edges, arg, grad_weight):  # type: ignore[no-untyped-def]
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
def _sum_over_channels(g, weight, arg, grad_edges):  # type: ignore[no-untyped-def]
    n, channels = g.shape
    for i in numba.prange(n):
        for c in range(channels):
            j = arg[i, c]
            for e in range(4):
                grad_edges[i, j, e] += g[i, c] * weight[e, c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _add_rows(h, idx, arg, out):  # type: ignore[no-untyped-def]
    n, channels = out.shape
    for i in numba.prange(n):
        for c in range(channels):
            out[i, c] += h[idx[i, arg[i, c]], c]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _add_edge_terms(edges, weight, arg, out):  # type: ignore[no-untyped-def]
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
