"""The passes of `gather_max` on CUDA, in Triton; shapes as in `pcdenoise.kernels.gather_max.Passes`.

A program owns some rows of its output and all their channels, gathers feature rows as whole cache lines and keeps what
it sums in registers; n * k * C values never pass through memory. There are no atomics: the scatter goes through the
list of edges that arrive at each row, found by a stable sort, and sums over points go through partial sums of a fixed
number of rows. So a result has the same bits on every run. The derivative of the backward pass gathers in plain torch.

These kernels have been tested in Triton's interpreter (TRITON_INTERPRET=1) and compiled for an H100, not run on a GPU.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_TILE = 1024  # values of a program's block: rows times channels
_PARTIAL = 512  # rows of one partial sum; a power of two


def maximum(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """The maximum alone."""
    out = h.new_empty(len(idx), h.shape[1])
    _launch(_maximum, len(idx), h.shape[1], h, idx, edges, weight, out, None, K=idx.shape[1])
    return out


def maximum_and_argument(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum and the neighbour that has it."""
    out = h.new_empty(len(idx), h.shape[1])
    arg = torch.empty(out.shape, dtype=torch.int8, device=h.device)
    _launch(_maximum, len(idx), h.shape[1], h, idx, edges, weight, out, arg, K=idx.shape[1])
    return out, arg


def scatter_to_rows(g: Tensor, idx: Tensor, arg: Tensor, rows: int) -> Tensor:
    """`out[idx[i, arg[i, c]], c] += g[i, c]`, in the order of the rows."""
    targets, arrivals = idx.flatten().sort(stable=True)
    starts = torch.searchsorted(targets, torch.arange(rows + 1, dtype=idx.dtype, device=idx.device))
    out = g.new_empty(rows, g.shape[1])
    _launch(_scatter_to_rows, rows, g.shape[1], g, arg, arrivals, starts, out, K=idx.shape[1])
    return out


def sum_over_channels(g: Tensor, weight: Tensor, arg: Tensor, k: int) -> Tensor:
    """`out[i, arg[i, c], e] += g[i, c] * weight[e, c]`."""
    out = g.new_empty(len(g), k, len(weight))
    _launch(_sum_over_channels, len(g), g.shape[1], g, weight, arg, out, K=k)
    return out


def sum_over_points(g: Tensor, edges: Tensor, arg: Tensor) -> Tensor:
    """`out[e, c] += g[i, c] * edges[i, arg[i, c], e]`, in partial sums of `_PARTIAL` rows."""
    parts = g.new_empty(triton.cdiv(len(g), _PARTIAL), edges.shape[2], g.shape[1])
    rows_per_program = {"rows_per_program": _PARTIAL, "PARTIAL": _PARTIAL}
    _launch(_sum_over_points, len(g), g.shape[1], g, edges, arg, parts, K=edges.shape[1], **rows_per_program)
    return parts.sum(dim=0)


def add_rows(out: Tensor, h: Tensor, idx: Tensor, arg: Tensor) -> None:
    """`out[i, c] += h[idx[i, arg[i, c]], c]`, in plain torch."""
    out += h.gather(0, idx.gather(1, arg.long()).long())


def add_edge_terms(out: Tensor, edges: Tensor, weight: Tensor, arg: Tensor) -> None:
    """`out[i, c] += sum_e edges[i, arg[i, c], e] * weight[e, c]`, in plain torch."""
    at = arg.long()
    for e in range(len(weight)):
        out += edges[:, :, e].gather(1, at) * weight[e]


def _launch(
    kernel: Any, n: int, channels: int, *arguments: Any, rows_per_program: int | None = None, **constants: int
) -> None:
    """Run a kernel over n rows on the device of its first tensor."""
    width = triton.next_power_of_2(channels)
    rows = min(_PARTIAL, max(1, _TILE // width))
    if n == 0:
        return  # CUDA has no empty grid
    grid = (triton.cdiv(n, rows_per_program or rows),)
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        kernel[grid](*arguments, n, channels, **constants, ROWS=rows, CHANNELS=width)


@triton.jit
def _maximum(h, idx, edges, weight, out, arg, n, channels, K: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, CHANNELS)
    in_rows, in_channels = rows < n, c < channels
    inside = in_rows[:, None] & in_channels[None, :]
    w0 = tl.load(weight + c, mask=in_channels, other=0)[None, :]
    w1 = tl.load(weight + channels + c, mask=in_channels, other=0)[None, :]
    w2 = tl.load(weight + 2 * channels + c, mask=in_channels, other=0)[None, :]
    w3 = tl.load(weight + 3 * channels + c, mask=in_channels, other=0)[None, :]
    best = tl.full((ROWS, CHANNELS), float("-inf"), out.dtype.element_ty)
    which = tl.zeros((ROWS, CHANNELS), tl.int32)
    for j in range(K):
        s = tl.load(idx + rows * K + j, mask=in_rows, other=0).to(tl.int64)
        edge = edges + (rows * K + j) * 4
        e0 = tl.load(edge, mask=in_rows, other=0)[:, None]
        e1 = tl.load(edge + 1, mask=in_rows, other=0)[:, None]
        e2 = tl.load(edge + 2, mask=in_rows, other=0)[:, None]
        e3 = tl.load(edge + 3, mask=in_rows, other=0)[:, None]
        gathered = tl.load(h + s[:, None] * channels + c[None, :], mask=inside, other=0)
        value = gathered + (e0 * w0 + e1 * w1 + e2 * w2 + e3 * w3)
        # what is not a number passes through, as in torch
        larger = (value > best) | (value != value)
        best = tl.where(larger, value, best)
        which = tl.where(larger, j, which)
    at = rows[:, None] * channels + c[None, :]
    tl.store(out + at, best, mask=inside)
    if arg is not None:
        tl.store(arg + at, which.to(tl.int8), mask=inside)


@triton.jit
def _scatter_to_rows(
    g, arg, arrivals, starts, out, n, channels, K: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):
    """Row s of `out` sums over the edges `arrivals[starts[s]:starts[s + 1]]`, numbered i * K + j, that come to it."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, CHANNELS)
    in_rows, in_channels = rows < n, c < channels
    start = tl.load(starts + rows, mask=in_rows, other=0)
    stop = tl.load(starts + rows + 1, mask=in_rows, other=0)
    total = tl.zeros((ROWS, CHANNELS), out.dtype.element_ty)
    longest = tl.max(stop - start)
    t = 0
    while t < longest:
        arrives = start + t < stop
        edge = tl.load(arrivals + start + t, mask=arrives, other=0)
        i, j = edge // K, edge % K
        at = i[:, None] * channels + c[None, :]
        maximal = tl.load(arg + at, mask=arrives[:, None] & in_channels[None, :], other=-1) == j[:, None]
        # few channels of an edge are maximal: only their cache sectors are read
        total += tl.load(g + at, mask=maximal, other=0)
        t += 1
    tl.store(out + rows[:, None] * channels + c[None, :], total, mask=in_rows[:, None] & in_channels[None, :])


@triton.jit
def _sum_over_channels(g, weight, arg, out, n, channels, K: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, CHANNELS)
    in_rows, in_channels = rows < n, c < channels
    inside = in_rows[:, None] & in_channels[None, :]
    at = rows[:, None] * channels + c[None, :]
    upstream = tl.load(g + at, mask=inside, other=0)
    which = tl.load(arg + at, mask=inside, other=-1)
    for j in range(K):
        received = tl.where(which == j, upstream, 0)
        for e in tl.static_range(4):
            w = tl.load(weight + e * channels + c, mask=in_channels, other=0)[None, :]
            tl.store(out + (rows * K + j) * 4 + e, tl.sum(received * w, axis=1), mask=in_rows)


@triton.jit
def _sum_over_points(
    g, edges, arg, parts, n, channels,
    K: tl.constexpr, PARTIAL: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    part = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, CHANNELS)
    in_channels = c < channels
    s0 = tl.zeros((ROWS, CHANNELS), parts.dtype.element_ty)
    s1, s2, s3 = s0, s0, s0
    for first in range(0, PARTIAL, ROWS):
        rows = part * PARTIAL + first + tl.arange(0, ROWS)
        inside = (rows < n)[:, None] & in_channels[None, :]
        at = rows[:, None] * channels + c[None, :]
        upstream = tl.load(g + at, mask=inside, other=0)
        edge = edges + (rows[:, None] * K + tl.load(arg + at, mask=inside, other=0)) * 4
        s0 += upstream * tl.load(edge, mask=inside, other=0)
        s1 += upstream * tl.load(edge + 1, mask=inside, other=0)
        s2 += upstream * tl.load(edge + 2, mask=inside, other=0)
        s3 += upstream * tl.load(edge + 3, mask=inside, other=0)
    into = parts + part * 4 * channels + c
    tl.store(into, tl.sum(s0, axis=0), mask=in_channels)
    tl.store(into + channels, tl.sum(s1, axis=0), mask=in_channels)
    tl.store(into + 2 * channels, tl.sum(s2, axis=0), mask=in_channels)
    tl.store(into + 3 * channels, tl.sum(s3, axis=0), mask=in_channels)
