"""Moments of neighbourhoods wider than those of the graph, without a wider search."""

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from pcdenoise.kernels.neighbourhood import MOMENTS, NeighbourGraph

CROSS = ((0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2))  # xx, yy, zz, xy, xz, yz


def with_wider_moments(graph: NeighbourGraph, hops: int) -> NeighbourGraph:
    """The graph with moments of `hops` wider neighbourhoods behind its own.

    Each is the mixture of those that the neighbours had one hop before,

        mean'_i = mean_j q_ij,   cov'_i = mean_j (r_ij^2 cov_j + q_ij q_ij^T) - mean'_i mean'_i^T,
        q_ij = e_ij + r_ij mean_j,   r_ij = s_j / s_i,

    beginning with the widest of the graph: where points lie evenly on a plane its variance along the plane grows by
    that of the k nearest with each hop, as if it had `k (1 + hop)` points. Each hop uses up one ring of rows.

    Args:
        graph: of `hops` more rings than layers ask for.
        hops: from 0.

    Returns:
        The graph with (n', len(neighbourhoods) + hops, 9) moments, n' = `sizes[hops]`, and `sizes[hops:]`.
    """
    if not hops:
        return graph
    rows = graph.sizes[hops]
    moments = torch.cat([graph.moments[:rows], wider_moments(graph, graph.moments[:, -1:], hops)[0]], dim=1)
    return replace(graph, moments=moments, sizes=graph.sizes[hops:])


def wider_moments(graph: NeighbourGraph, moments: Tensor, hops: int) -> tuple[Tensor, ...]:
    """Moments of `hops` wider neighbourhoods for each of several kinds, as in `with_wider_moments`.

    Args:
        graph: of `hops` more rings than layers ask for.
        moments: (n, kinds, 9) of the neighbourhoods to begin with.
        hops: from 1.

    Returns:
        (n', hops, 9) for each kind, n' = `sizes[hops]`.
    """
    rows, kinds = graph.sizes[hops], moments.shape[1]
    unit = graph.spacing[: len(moments), None]
    scale = torch.cat([unit.expand(-1, 1, 3), unit.square().expand(-1, 1, MOMENTS - 3)], dim=2).to(moments.dtype)
    if moments.is_cuda or moments.requires_grad:
        levels = [scale * moments]
        for size in graph.sizes[1 : hops + 1]:
            levels.append(_hop_reference(graph.idx[:size], graph.edges[:size], graph.spacing, levels[-1]))
        return (torch.stack([level[:rows] for level in levels[1:]], dim=2) / scale[:rows, :, None]).unbind(dim=1)
    result = moments.new_empty(kinds, rows, hops, MOMENTS)
    level = (scale.double() * moments).numpy()
    for hop, size in enumerate(graph.sizes[1 : hops + 1]):
        before, level = level, np.empty((size, kinds, MOMENTS))
        its = (graph.idx[:size], graph.edges[:size], graph.spacing[:size, 0], result[:, :, hop])
        arrays = [before, *(tensor.numpy() for tensor in its), level]
        _hop(*arrays)
    return result.unbind()


def _hop_reference(idx: Tensor, edges: Tensor, spacing: Tensor, moments: Tensor) -> Tensor:
    """One hop of moments (m, kinds, 9) in the unit of the points, in plain torch: differentiable, on any device."""
    offsets = (edges[..., :3] * spacing[: len(idx), None]).to(moments.dtype)
    neighbours = idx.long().flatten()
    a, b = CROSS
    kinds = []
    for its in moments.unbind(dim=1):
        theirs = its[neighbours].view(*idx.shape, MOMENTS)
        place = offsets + theirs[..., :3]
        mean = place.mean(dim=1)
        second = (theirs[..., 3:] + place[..., a] * place[..., b]).mean(dim=1)
        kinds.append(torch.cat([mean, second - mean[:, a] * mean[:, b]], dim=1))
    return torch.stack(kinds, dim=1)


# Contraction to fused multiply-add, no reassociation: the same bits at any thread count.
@numba.njit(parallel=True, fastmath={"contract", "nsz"}, cache=True)
def _hop(moments: Any, idx: Any, edges: Any, spacing: Any, relative: Any, out: Any) -> None:
    """One hop in the unit of the points, (m, kinds, 9) to (n, kinds, 9), and in that of the spacing (kinds, n', 9)."""
    n, k = idx.shape
    for i in numba.prange(n):
        s = spacing[i]
        for kind in range(moments.shape[1]):
            x = y = z = xx = yy = zz = xy = xz = yz = 0.0
            for j in range(k):
                theirs = moments[idx[i, j], kind]
                u, v, w = s * edges[i, j, 0] + theirs[0], s * edges[i, j, 1] + theirs[1], s * edges[i, j, 2] + theirs[2]
                x, y, z = x + u, y + v, z + w
                xx, yy, zz = xx + (theirs[3] + u * u), yy + (theirs[4] + v * v), zz + (theirs[5] + w * w)
                xy, xz, yz = xy + (theirs[6] + u * v), xz + (theirs[7] + u * w), yz + (theirs[8] + v * w)
            x, y, z = x / k, y / k, z / k
            mine = out[i, kind]
            mine[0], mine[1], mine[2] = x, y, z
            mine[3], mine[4], mine[5] = xx / k - x * x, yy / k - y * y, zz / k - z * z
            mine[6], mine[7], mine[8] = xy / k - x * y, xz / k - x * z, yz / k - y * z
            if i < relative.shape[1]:
                for a in range(3):
                    relative[kind, i, a] = mine[a] / s
                for a in range(3, 9):
                    relative[kind, i, a] = mine[a] / (s * s)
