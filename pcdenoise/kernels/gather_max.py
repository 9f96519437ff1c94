"""The neighbourhood operation of linear-first EdgeConv, fused: gather, add the edge term, take the maximum.

    out[i, c] = max_j  h[idx[i, j], c] + sum_e edges[i, j, e] * weight[e, c]

Because the linear maps act before the maximum and SiLU-like activations after it, an EdgeConv layer costs two GEMMs per
point and one pass of this kernel over the edges, instead of an MLP per edge (Wang et al., "Dynamic Graph CNN", 2019).
In the backward pass only the arg-max edge of each channel receives gradient.
"""

from typing import Any

import numba
import numpy as np
import torch
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
        (n, C). Differentiable in `h`, `edges` and `weight`; of equal maxima the first neighbour counts.
    """
    if h.device.type == "cpu":
        return _GatherMax.apply(h, idx, edges, weight)  # type: ignore[no-any-return, no-untyped-call]
    return gather_max_reference(h, idx, edges, weight)


def gather_max_reference(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """The definition in plain torch, on any device: n * k * C values pass through memory."""
    return (h[idx.long()] + edges @ weight).max(dim=1).values


class _GatherMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        h, edges, weight = h.contiguous(), edges.contiguous(), weight.contiguous()
        out = torch.empty(idx.shape[0], h.shape[1], dtype=h.dtype)
        arrays = h.detach().numpy(), idx.numpy(), edges.detach().numpy(), weight.detach().numpy(), out.numpy()
        if any(ctx.needs_input_grad):
            arg = torch.empty(out.shape, dtype=torch.int8)
            _forward_with_argmax(*arrays, arg.numpy())
            ctx.save_for_backward(idx, edges, weight, arg)
            ctx.rows = h.shape[0]
        else:
            _forward(*arrays)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        idx, edges, weight, arg = ctx.saved_tensors
        g = gradient.contiguous().numpy()
        grad_h = grad_edges = grad_weight = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[3]:
            grad_h = torch.zeros(ctx.rows, g.shape[1], dtype=gradient.dtype)
            grad_weight = torch.zeros(weight.shape, dtype=gradient.dtype)
            _backward(g, idx.numpy(), edges.detach().numpy(), arg.numpy(), grad_h.numpy(), grad_weight.numpy())
        if ctx.needs_input_grad[2]:
            grad_edges = torch.zeros(edges.shape, dtype=gradient.dtype)
            _backward_edges(g, weight.detach().numpy(), arg.numpy(), grad_edges.numpy())
        return grad_h, None, grad_edges, grad_weight


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
def _backward(g, idx, edges, arg, grad_h, grad_weight):  # type: ignore[no-untyped-def]
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
                grad_h[idx[i, j], c] += value
                sums[0, c - low] += value * edges[i, j, 0]
                sums[1, c - low] += value * edges[i, j, 1]
                sums[2, c - low] += value * edges[i, j, 2]
                sums[3, c - low] += value * edges[i, j, 3]
        for e in range(4):
            for c in range(low, high):
                grad_weight[e, c] = sums[e, c - low]


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _backward_edges(g, weight, arg, grad_edges):  # type: ignore[no-untyped-def]
    n, channels = g.shape
    for i in numba.prange(n):
        for c in range(channels):
            j = arg[i, c]
            for e in range(4):
                grad_edges[i, j, e] += g[i, c] * weight[e, c]
