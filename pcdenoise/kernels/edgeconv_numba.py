"""An EdgeConv block on the CPU without gradients: two passes over the points, in pieces that stay in the cache."""

import math
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from pcdenoise.kernels.vectors import LANES, add_product, apply_silu, row_maximum

ROWS = 48  # at a time: with all that comes in between, and the columns of a product, they fit into the first cache
_EPSILON = 1e-5  # of torch's LayerNorm

# Sums of a row are taken in vectors, in an order that is fixed when this is compiled.
_FAST = {"contract", "reassoc", "nsz"}


def fits(channels: int, width: int) -> bool:
    """Whether a block of so many channels, and so many in its MLP, can be computed here."""
    return channels % LANES == 0 and width % LANES == 0


def block(x: Tensor, idx: Tensor, edges: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """`pcdenoise.networks.edgeconv.EdgeConvBlock` of the points x, with the same bits at any thread count.

    Args:
        x: (m, C) float32.
        idx: (n, k) int32 rows of x.
        edges: (n, k, 4) float32.
        weights: those of the block by name.

    Returns:
        (n, C).
    """
    w = {name: _array(its.T if its.ndim == 2 and name != "edge" else its) for name, its in weights.items()}
    points, table, result = _array(x), np.empty(x.shape, np.float32), np.empty((len(idx), x.shape[1]), np.float32)
    _fill_table(points, w["norm.weight"], w["norm.bias"], w["neighbour.weight"], table)
    _fill_rows(
        points,
        table,
        _array(idx),
        _array(edges),
        w["edge"],
        (w["norm.weight"], w["norm.bias"], w["mlp_norm.weight"], w["mlp_norm.bias"]),
        (w["centre.weight"], w["out.weight"], w["expand.weight"], w["reduce.weight"]),
        (w["centre.bias"], w["out.bias"], w["expand.bias"], w["reduce.bias"]),
        result,
    )
    return torch.from_numpy(result)


def _array(values: Tensor) -> Any:
    return values.detach().contiguous().numpy()


@numba.njit(parallel=True, cache=True)
def _fill_table(x, scale, shift, neighbour, table):  # type: ignore[no-untyped-def]
    """What neighbours gather: `B LayerNorm(x)`."""
    m = len(x)
    for piece in numba.prange((m + ROWS - 1) // ROWS):
        rows = slice(piece * ROWS, min(m, (piece + 1) * ROWS))
        normed = np.empty((rows.stop - rows.start, x.shape[1]), np.float32)
        _normalise(x[rows], scale, shift, normed)
        table[rows] = 0
        add_product(normed, neighbour, table[rows])


@numba.njit(parallel=True, cache=True)
def _fill_rows(x, table, idx, edges, edge, norms, products, biases, out):  # type: ignore[no-untyped-def]
    """All that follows, see `EdgeConvBlock`."""
    n = len(out)
    for piece in numba.prange((n + ROWS - 1) // ROWS):
        rows = slice(piece * ROWS, min(n, (piece + 1) * ROWS))
        count = rows.stop - rows.start
        its = out[rows]
        normed, inner = np.empty_like(its), np.empty_like(its)
        wide = np.empty((count, len(biases[2])), np.float32)
        _normalise(x[rows], norms[0], norms[1], normed)
        for r in range(count):
            row_maximum(rows.start + r, table, idx, edges, edge, out)
        _add(its, biases[0], inner)
        add_product(normed, products[0], inner)
        apply_silu(inner)
        _add(x[rows], biases[1], its)
        add_product(inner, products[1], its)
        _normalise(its, norms[2], norms[3], normed)
        wide[:] = biases[2]
        add_product(normed, products[2], wide)
        apply_silu(wide)
        _add(its, biases[3], its)
        add_product(wide, products[3], its)


@numba.njit(cache=True)
def _add(x, bias, out):  # type: ignore[no-untyped-def]
    for r in range(len(x)):
        for c in range(x.shape[1]):
            out[r, c] = x[r, c] + bias[c]


@numba.njit(fastmath=_FAST, cache=True)
def _normalise(x, scale, shift, out):  # type: ignore[no-untyped-def]
    channels = np.float32(x.shape[1])
    for r in range(len(x)):
        row, total, squared = x[r], np.float32(0), np.float32(0)
        for c in range(len(row)):
            total += row[c]
        mean = total / channels
        for c in range(len(row)):
            squared += (row[c] - mean) * (row[c] - mean)
        factor = np.float32(1) / math.sqrt(squared / channels + np.float32(_EPSILON))
        for c in range(len(row)):
            out[r, c] = (row[c] - mean) * factor * scale[c] + shift[c]
