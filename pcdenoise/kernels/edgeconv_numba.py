"""The layers of an EdgeConv network on the CPU without gradients, each one pass over the points.

What comes in between stays in the first cache; in torch each step writes all of it to memory. The result has the same
bits at any thread count, and a row of it does not depend on how many there are. All arrays are float32, but for the
int32 indices, and contiguous; weights are those of `linear_maps`.
"""

import math
from collections.abc import Mapping
from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

from pcdenoise.kernels.vectors import LANES, add_product, apply_silu, row_maximum

VECTORS = "18554ffaa61a"  # what `vectors` is: numba compiles again only where this file has changed
ROWS = 48  # at a time: with all that comes in between, and the columns of a product, they fit into the first cache
_EPSILON = 1e-5  # of torch's LayerNorm

# Sums of a row are taken in vectors, in an order that is fixed when this is compiled.
_FAST = {"contract", "reassoc", "nsz"}

Rows: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = NDArray[np.float32]


def fits(*widths: int) -> bool:
    """Whether layers of these widths can be computed here."""
    return all(width % LANES == 0 for width in widths)


def linear_maps(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, Weights]:
    """The weights of a network by name, of linear layers transposed: inputs first."""
    return {
        name: np.ascontiguousarray(its.T if name.endswith("weight") and its.ndim == 2 else its)
        for name, its in weights.items()
    }


def inputs(noise: Rows, moments: Rows, edges: Rows, received: Rows, weights: Mapping[str, Weights]) -> Rows:
    """What the first block of `pcdenoise.networks.features.EdgeConvFeatures` is given, (n, C).

    Args:
        noise: (n, e) embedding of the noise level.
        moments: (n, scales, 9).
        edges: (n, k, 4).
        received: (n, r).
        weights: those of the features; without `noise.weight`, the noise level is not looked at.
    """
    w = weights
    n, width = len(moments), received.shape[1]
    result = np.empty((n, len(w["mix.bias"])), np.float32)
    told = "noise.weight" in w
    _fill_inputs(
        noise if told else np.empty((n, 0), np.float32),
        moments.reshape(n, -1),
        edges,
        received,
        w["moments.weight"],
        w["noise.weight"] if told else np.empty((0, len(w["moments.bias"])), np.float32),
        w["moments.bias"] + w["noise.bias"] if told else w["moments.bias"],
        w["edge"],
        tuple(np.split(w["mix.weight"], [result.shape[1], w["mix.weight"].shape[0] - width])),
        w["mix.bias"],
        result,
    )
    return result


def block(x: Rows, idx: NDArray[np.int32], edges: Rows, weights: Mapping[str, Weights]) -> Rows:
    """`pcdenoise.networks.edgeconv.EdgeConvBlock` of the points x.

    Args:
        x: (m, C).
        idx: (n, k) rows of x.
        edges: (n, k, 4).
        weights: those of the block.

    Returns:
        (n, C).
    """
    w = weights
    table, result = np.empty(x.shape, np.float32), np.empty((len(idx), x.shape[1]), np.float32)
    _fill_table(x, w["norm.weight"], w["norm.bias"], w["neighbour.weight"], table)
    _fill_rows(
        x,
        table,
        idx,
        edges,
        w["edge"],
        (w["norm.weight"], w["norm.bias"], w["mlp_norm.weight"], w["mlp_norm.bias"]),
        (w["centre.weight"], w["out.weight"], w["expand.weight"], w["reduce.weight"]),
        (w["centre.bias"], w["out.bias"], w["expand.bias"], w["reduce.bias"]),
        result,
    )
    return result


def normed(x: Rows, weights: Mapping[str, Weights]) -> Rows:
    """`LayerNorm(x)` for each row of x (n, C), by the weights `norm` of the features."""
    result = np.empty_like(x)
    _fill_normed(x, weights["norm.weight"], weights["norm.bias"], result)
    return result


def answers(x: Rows, own: Rows, moments: Rows, spacing: Rows, weights: Mapping[str, Weights]) -> tuple[Rows, Rows]:
    """The displacements (n, 3) of `pcdenoise.networks.denoiser.DenoisingStage`, and what it hands on (n, r).

        move_i = s_i ( sum_k A_k,i m_k,i + own_i b_i ),   (A, b) = head(F_T)

    Args:
        x: (n, C) features `F_T`.
        own: (n, 1) factor of b.
        moments: (n, scales, 9).
        spacing: (n, 1).
        weights: those of the stage.
    """
    w = weights
    more = -len(w["head.bias"]) % LANES
    move, handed_on = np.empty((len(x), 3), np.float32), np.empty((len(x), len(w["hand_on.bias"])), np.float32)
    _fill_answers(
        x,
        own,
        moments,
        spacing,
        (w["hidden.weight"], np.pad(w["head.weight"], ((0, 0), (0, more))), w["hand_on.weight"]),
        (w["hidden.bias"], np.pad(w["head.bias"], (0, more)), w["hand_on.bias"]),
        move,
        handed_on,
    )
    return move, handed_on


def head(x: Rows, weights: Mapping[str, Weights]) -> Rows:
    """The head of `pcdenoise.networks.noise_level.NoiseLevel` over features x (n, C), (n, 2)."""
    w = weights
    more = -len(w["head.bias"]) % LANES
    padded = np.pad(w["head.weight"], ((0, 0), (0, more))), np.pad(w["head.bias"], (0, more))
    result = np.empty((len(x), len(padded[1])), np.float32)
    _fill_head(x, w["hidden.weight"], w["hidden.bias"], *padded, result)
    return result[:, : len(w["head.bias"])]


@numba.njit(parallel=True, cache=True)
def _fill_inputs(noise, moments, edges, received, from_moments, from_noise, bias, edge, mix, mix_bias, out):  # type: ignore[no-untyped-def]
    n, channels = out.shape
    nothing, itself = np.zeros((1, channels), np.float32), np.zeros((1, edges.shape[1]), np.int32)
    for piece in numba.prange((n + ROWS - 1) // ROWS):
        rows = slice(piece * ROWS, min(n, (piece + 1) * ROWS))
        its = out[rows]
        inner = np.empty_like(its)
        _repeat(bias, inner)
        add_product(moments[rows], from_moments, inner)
        add_product(noise[rows], from_noise, inner)
        apply_silu(inner)
        _repeat(mix_bias, its)
        add_product(inner, mix[0], its)
        for r in range(len(its)):
            first = rows.start + r
            row_maximum(0, nothing, itself, edges[first : first + 1], edge, inner[r : r + 1])
        apply_silu(inner)
        add_product(inner, mix[1], its)
        given = np.empty((len(its), received.shape[1]), np.float32)
        _copy(received[rows], given)
        apply_silu(given)
        add_product(given, mix[2], its)


@numba.njit(parallel=True, cache=True)
def _fill_answers(x, own, moments, spacing, products, biases, moves, handed_on):  # type: ignore[no-untyped-def]
    n = len(moves)
    for piece in numba.prange((n + ROWS - 1) // ROWS):
        rows = slice(piece * ROWS, min(n, (piece + 1) * ROWS))
        count = rows.stop - rows.start
        inner, answer = np.empty((count, len(biases[0])), np.float32), np.empty((count, len(biases[1])), np.float32)
        _repeat(biases[0], inner)
        add_product(x[rows], products[0], inner)
        apply_silu(inner)
        _repeat(biases[1], answer)
        add_product(inner, products[1], answer)
        _repeat(biases[2], handed_on[rows])
        add_product(x[rows], products[2], handed_on[rows])
        for r in range(count):
            i = rows.start + r
            for a in range(3):
                move = own[i, 0] * answer[r, a]
                for k in range(moments.shape[1]):
                    for b in range(3):
                        move += answer[r, 3 + 9 * k + 3 * a + b] * moments[i, k, b]
                moves[i, a] = move * spacing[i, 0]


@numba.njit(parallel=True, cache=True)
def _fill_head(x, hidden, hidden_bias, head, head_bias, out):  # type: ignore[no-untyped-def]
    n = len(x)
    for piece in numba.prange((n + ROWS - 1) // ROWS):
        rows = slice(piece * ROWS, min(n, (piece + 1) * ROWS))
        inner = np.empty((rows.stop - rows.start, len(hidden_bias)), np.float32)
        _repeat(hidden_bias, inner)
        add_product(x[rows], hidden, inner)
        apply_silu(inner)
        _repeat(head_bias, out[rows])
        add_product(inner, head, out[rows])


@numba.njit(parallel=True, cache=True)
def _fill_normed(x, scale, shift, out):  # type: ignore[no-untyped-def]
    n = len(x)
    for piece in numba.prange((n + ROWS - 1) // ROWS):
        rows = slice(piece * ROWS, min(n, (piece + 1) * ROWS))
        _normalise(x[rows], scale, shift, out[rows])


@numba.njit(parallel=True, cache=True)
def _fill_table(x, scale, shift, neighbour, table):  # type: ignore[no-untyped-def]
    """What neighbours gather: `B LayerNorm(x)`."""
    m, nothing = len(x), np.zeros(x.shape[1], np.float32)
    for piece in numba.prange((m + ROWS - 1) // ROWS):
        rows = slice(piece * ROWS, min(m, (piece + 1) * ROWS))
        normed = np.empty((rows.stop - rows.start, x.shape[1]), np.float32)
        _normalise(x[rows], scale, shift, normed)
        _repeat(nothing, table[rows])
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
        _repeat(biases[2], wide)
        add_product(normed, products[2], wide)
        apply_silu(wide)
        _add(its, biases[3], its)
        add_product(wide, products[3], its)


@numba.njit(cache=True)
def _copy(x, out):  # type: ignore[no-untyped-def]
    for r in range(len(x)):
        for c in range(x.shape[1]):
            out[r, c] = x[r, c]


@numba.njit(cache=True)
def _repeat(bias, out):  # type: ignore[no-untyped-def]
    for r in range(len(out)):
        for c in range(out.shape[1]):
            out[r, c] = bias[c]


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
