"""Densely connected EdgeConv on a dynamic graph, fused: no value of an edge passes through memory."""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn

ROWS = 8  # points per task; the values of their edges stay in the cache
PART = 16  # values of which the least is taken at once


class DenseEdgeConv(nn.Module):
    """Three densely connected layers on each edge, and their maximum over the edges of a point.

        y1 = relu(W1 e_ij + b1),   y2 = relu(W2 [y1, x_i] + b2),   y3 = W3 [y2, y1, x_i] + b3
        out_i = max_j [y3, y2, y1, x_i],    e_ij = [x_i, x_j, x_j - x_i]   or   x_j - x_i

    over the k nearest neighbours j of i in the space of x itself (Wang et al., "Dynamic Graph CNN", 2019).

    Args:
        channels: width C of x.
        growth: width G of each layer.
        neighbours: k, at most 127.
        relative: whether an edge is seen as `x_j - x_i` alone.
    """

    def __init__(self, channels: int, growth: int, neighbours: int, relative: bool) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.first = nn.Linear(channels if relative else 3 * channels, growth)
        self.middle = nn.Linear(growth + channels, growth)
        self.last = nn.Linear(2 * growth + channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Patches (b, n, C), n > k, each with a graph of its own, to (b, n, 3 G + C)."""
        idx = neighbours_in_patches(x, self.neighbours).view(-1, self.neighbours)
        weights = [parameter for layer in (self.first, self.middle, self.last) for parameter in layer.parameters()]
        pooled = dense_edge_max(x.flatten(0, 1), idx, *weights)
        return torch.cat([pooled.view(*x.shape[:2], -1), x], dim=2)


def neighbours_in_patches(x: Tensor, k: int) -> Tensor:
    """The k nearest other points of the same patch, in no order.

    Squared distances are `|a|^2 + |b|^2 - 2 a b`, as `torch.cdist` takes them: on a dynamic graph rounding decides
    between neighbours that are nearly equally far, and published features come from this formula.

    Args:
        x: (b, n, C), n > k.

    Returns:
        (b, n, k) rows of the flattened (b n, C); int32 on the CPU, int64 elsewhere.
    """
    patches, n, _ = x.shape
    x = x.detach()
    if x.device.type == "cpu":
        idx = torch.empty(patches, n, k, dtype=torch.int32)
        for p in range(patches):
            _smallest(_squared_distances(x[p]).fill_diagonal_(torch.inf).numpy(), p * n, idx[p].numpy())
        return idx
    with torch.autocast(x.device.type, enabled=False):
        squared = _squared_distances(x.float())
    squared.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    first = n * torch.arange(patches, device=x.device)[:, None, None]
    return squared.topk(k, largest=False, sorted=False).indices + first


def _squared_distances(x: Tensor) -> Tensor:
    squared = x.square().sum(dim=-1, keepdim=True)
    one = torch.ones_like(squared)
    return torch.cat([-2 * x, squared, one], dim=-1) @ torch.cat([x, one, squared], dim=-1).transpose(-1, -2)


def dense_edge_max(
    x: Tensor, idx: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor
) -> Tensor:
    """Maxima over edges of the three layers of `DenseEdgeConv`; numba on the CPU, plain torch elsewhere.

    Each sum is taken in the order of its channels with one rounding each, as a matrix product does it: published
    features are reproduced bit by bit, which the dynamic graph of the next layer asks for.

    Args:
        x: (n, C) float32.
        idx: (n, k) rows of x, k at most 127; int32 on the CPU.
        w1, w2, w3: (G, 3 C) or (G, C) for relative edges, (G, G + C), (G, 2 G + C).
        b1, b2, b3: (G,).

    Returns:
        (n, 3 G), the maxima of `[y3, y2, y1]`. Differentiable in all but idx; of equal maxima the first edge counts.
    """
    if x.device.type == "cpu":
        return _DenseEdgeMax.apply(x, idx, w1, b1, w2, b2, w3, b3)  # type: ignore[no-any-return, no-untyped-call]
    return dense_edge_max_reference(x, idx, w1, b1, w2, b2, w3, b3)


def dense_edge_max_reference(
    x: Tensor, idx: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor
) -> Tensor:
    """The definition in plain torch, on any device."""
    neighbour = x[idx.long()]
    own = x[:, None].expand_as(neighbour)
    difference = neighbour - own
    edge = difference if w1.shape[1] == x.shape[1] else torch.cat([own, neighbour, difference], dim=2)
    y1 = torch.relu(edge @ w1.T + b1)
    y2 = torch.relu(torch.cat([y1, own], dim=2) @ w2.T + b2)
    y3 = torch.cat([y2, y1, own], dim=2) @ w3.T + b3
    return torch.cat([y3, y2, y1], dim=2).max(dim=1).values


class _DenseEdgeMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, idx: Tensor, *weights: Tensor) -> Tensor:
        x = x.contiguous()
        out = torch.empty(len(x), 3 * len(weights[0]))
        arg = torch.empty(out.shape, dtype=torch.int8)
        arrays = tuple(map(_array, (x, idx, *weights, out, arg)))
        _forward(*arrays)
        ctx.save_for_backward(x, idx, arg, *weights)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, idx, arg, *weights = ctx.saved_tensors
        w1, _, w2, _, w3, _ = weights
        growth, channels = len(w1), x.shape[1]
        # of what is summed up in the layers: at the own point, and at the edges for its neighbours
        own1, own2 = torch.empty(len(x), growth), torch.empty(len(x), growth)
        at_edges = torch.empty(*idx.shape, growth)
        products = torch.empty(-(-len(x) // ROWS), growth, 3 * growth)
        arrays = tuple(map(_array, (gradient.contiguous(), x, idx, *weights, arg, own1, own2, at_edges, products)))
        _backward(*arrays)
        neighbour1 = torch.zeros(len(x), growth)
        _scatter(_array(at_edges), _array(idx), _array(neighbour1))
        own3 = gradient[:, :growth]
        # W1 in its parts for x_i, x_j and their difference
        parts = torch.split(w1, channels, dim=1) if w1.shape[1] > channels else (0, 0, w1)
        grad_x = own1 @ (parts[0] - parts[2]) + neighbour1 @ (parts[1] + parts[2])
        grad_x += own2 @ w2[:, growth:] + own3 @ w3[:, 2 * growth :]
        along_own, along_neighbour = own1.T @ x, neighbour1.T @ x
        grad_w1 = along_neighbour - along_own
        if w1.shape[1] > channels:
            grad_w1 = torch.cat([along_own, along_neighbour, grad_w1], dim=1)
        inner2, inner3 = torch.split(products.sum(dim=0), [growth, 2 * growth], dim=1)
        grad_w2 = torch.cat([inner2, own2.T @ x], dim=1)
        grad_w3 = torch.cat([inner3, own3.T @ x], dim=1)
        biases = [own.sum(dim=0) for own in (own1, own2, own3)]
        return grad_x, None, grad_w1, biases[0], grad_w2, biases[1], grad_w3, biases[2]


def _array(tensor: Tensor) -> Any:
    return tensor.detach().numpy()


# Contraction to fused multiply-add, no reassociation.
_FAST = {"contract", "nnan", "ninf", "nsz"}


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _smallest(values, first, idx):  # type: ignore[no-untyped-def]
    """Columns of the k smallest values of each row, plus `first`; of equal values the first columns."""
    n, k = idx.shape
    parts = (n + PART - 1) // PART
    for task in numba.prange((n + ROWS - 1) // ROWS):
        minima = np.empty(parts, np.float32)
        smallest, columns = np.empty(k, np.float32), np.empty(k, np.int32)
        for i in range(task * ROWS, min(n, (task + 1) * ROWS)):
            row = values[i]
            # The k-th smallest minimum of the parts of a row is at least the k-th smallest of the row.
            for p in range(n // PART):
                minimum = row[p * PART]
                for j in range(1, PART):
                    minimum = min(minimum, row[p * PART + j])
                minima[p] = minimum
            if n % PART:
                minima[parts - 1] = -np.inf  # too short to be skipped
            smallest[:] = np.inf
            for p in range(n // PART):
                _insert(smallest, columns, minima[p], p)
            bound = smallest[k - 1]
            smallest[:] = np.inf
            columns[:] = 0
            for p in range(parts):
                if minima[p] <= bound:
                    for j in range(p * PART, min(n, (p + 1) * PART)):
                        _insert(smallest, columns, row[j], j)
            for j in range(k):
                idx[i, j] = first + columns[j]


@numba.njit(fastmath=_FAST, cache=True)
def _insert(smallest, columns, value, column):  # type: ignore[no-untyped-def]
    """Take up a value among the smallest so far, which are in order, if it is one of them."""
    at = len(smallest) - 1
    if value < smallest[at]:
        while at > 0 and smallest[at - 1] > value:
            smallest[at], columns[at] = smallest[at - 1], columns[at - 1]
            at -= 1
        smallest[at], columns[at] = value, column


@numba.njit(fastmath=_FAST, cache=True)
def _add_product(total, weight, values):  # type: ignore[no-untyped-def]
    """`total += weight @ values`, (c, m) += (c, a) (a, m), in the order of a with one rounding each."""
    inner, edges = values.shape
    for c in range(len(total)):
        row = total[c]
        a = 0
        while a + 4 <= inner:  # four at a time, because reading and writing a total costs as much as adding to it
            w0, w1, w2, w3 = weight[c, a], weight[c, a + 1], weight[c, a + 2], weight[c, a + 3]
            v0, v1, v2, v3 = values[a], values[a + 1], values[a + 2], values[a + 3]
            for e in range(edges):
                t = row[e]
                t += w0 * v0[e]
                t += w1 * v1[e]
                t += w2 * v2[e]
                t += w3 * v3[e]
                row[e] = t
            a += 4
        while a < inner:
            for e in range(edges):
                row[e] += weight[c, a] * values[a, e]
            a += 1


@numba.njit(fastmath=_FAST, cache=True)
def _add_bias(total, bias, floor):  # type: ignore[no-untyped-def]
    """`total <- max(total + bias, floor)`."""
    for c in range(len(total)):
        for e in range(total.shape[1]):
            total[c, e] = max(total[c, e] + bias[c], floor)


@numba.njit(fastmath=_FAST, cache=True)
def _layers(x, idx, w1, b1, w2, b2, w3, b3, low, high):  # type: ignore[no-untyped-def]
    """`[y3, y2, y1]`, (3 G, edges), of the edges of points low to high, one row per channel."""
    k = idx.shape[1]
    channels, growth = x.shape[1], len(w1)
    edges = (high - low) * k
    inputs = np.empty((3 * channels, edges), np.float32)  # x_i, x_j, x_j - x_i
    for i in range(low, high):
        for j in range(k):
            e = (i - low) * k + j
            for a in range(channels):
                inputs[a, e] = x[i, a]
                inputs[channels + a, e] = x[idx[i, j], a]
    for a in range(channels):
        for e in range(edges):
            inputs[2 * channels + a, e] = inputs[channels + a, e] - inputs[a, e]
    y = np.zeros((3 * growth, edges), np.float32)
    y3, y2, y1, own = y[:growth], y[growth : 2 * growth], y[2 * growth :], inputs[:channels]
    zero = np.float32(0)
    _add_product(y1, w1, inputs[3 * channels - w1.shape[1] :])
    _add_bias(y1, b1, zero)
    _add_product(y2, w2[:, :growth], y1)
    _add_product(y2, w2[:, growth:], own)
    _add_bias(y2, b2, zero)
    _add_product(y3, w3[:, : 2 * growth], y[growth:])
    _add_product(y3, w3[:, 2 * growth :], own)
    _add_bias(y3, b3, np.float32(-np.inf))
    return y


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _forward(x, idx, w1, b1, w2, b2, w3, b3, out, arg):  # type: ignore[no-untyped-def]
    n, k = idx.shape
    for task in numba.prange((n + ROWS - 1) // ROWS):
        low, high = task * ROWS, min(n, (task + 1) * ROWS)
        y = _layers(x, idx, w1, b1, w2, b2, w3, b3, low, high)
        for i in range(low, high):
            for c in range(len(y)):
                values = y[c, (i - low) * k : (i - low + 1) * k]
                best, which = values[0], 0
                for j in range(1, k):
                    larger = values[j] > best
                    best = values[j] if larger else best
                    which = j if larger else which
                out[i, c] = best
                arg[i, c] = which


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _backward(gradient, x, idx, w1, b1, w2, b2, w3, b3, arg, own1, own2, at_edges, products):  # type: ignore[no-untyped-def]
    n, k = idx.shape
    growth = len(w1)
    within2, within3 = np.ascontiguousarray(w2[:, :growth].T), np.ascontiguousarray(w3[:, : 2 * growth].T)
    zero = np.float32(0)
    for task in numba.prange((n + ROWS - 1) // ROWS):
        low, high = task * ROWS, min(n, (task + 1) * ROWS)
        y = _layers(x, idx, w1, b1, w2, b2, w3, b3, low, high)
        g = np.zeros(y.shape, np.float32)
        for i in range(low, high):
            for c in range(len(y)):
                g[c, (i - low) * k + arg[i, c]] = gradient[i, c]
        g3, g2, g1 = g[:growth], g[growth : 2 * growth], g[2 * growth :]
        _add_product(g[growth:], within3, g3)
        _mask(g2, y[growth : 2 * growth])
        _add_product(g1, within2, g2)
        _mask(g1, y[2 * growth :])
        _outer(g2, y[2 * growth :], products[task, :, :growth])
        _outer(g3, y[growth:], products[task, :, growth:])
        for i in range(low, high):
            for c in range(growth):
                total1, total2 = zero, zero
                for j in range(k):
                    e = (i - low) * k + j
                    total1 += g1[c, e]
                    total2 += g2[c, e]
                    at_edges[i, j, c] = g1[c, e]
                own1[i, c], own2[i, c] = total1, total2


@numba.njit(fastmath=_FAST, cache=True)
def _mask(gradient, y):  # type: ignore[no-untyped-def]
    for c in range(len(y)):
        for e in range(y.shape[1]):
            gradient[c, e] = gradient[c, e] if y[c, e] > 0 else np.float32(0)


@numba.njit(fastmath=True, cache=True)
def _outer(g, y, product):  # type: ignore[no-untyped-def]
    """`g @ y.T`, the sum in an order of the compiler's choice, the same on every run."""
    for c in range(len(g)):
        for a in range(len(y)):
            total = np.float32(0)
            for e in range(g.shape[1]):
                total += g[c, e] * y[a, e]
            product[c, a] = total


@numba.njit(cache=True)
def _scatter(at_edges, idx, total):  # type: ignore[no-untyped-def]
    for i in range(len(idx)):
        for j in range(idx.shape[1]):
            for c in range(total.shape[1]):
                total[idx[i, j], c] += at_edges[i, j, c]
