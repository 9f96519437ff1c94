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
    plain = graph.moments.is_cuda or graph.moments.requires_grad
    levels = [graph.moments[:, -1]]
    for size in graph.sizes[1 : hops + 1]:
        step = _hop_reference if plain else _hop_fused
        levels.append(step(graph.idx[:size], graph.edges[:size], graph.spacing, levels[-1]))
    rows = graph.sizes[hops]
    moments = torch.cat([graph.moments[:rows], torch.stack([level[:rows] for level in levels[1:]], dim=1)], dim=1)
    return replace(graph, moments=moments, sizes=graph.sizes[hops:])


def _hop_reference(idx: Tensor, edges: Tensor, spacing: Tensor, moments: Tensor) -> Tensor:
    """One hop, in plain torch: differentiable, on any device."""
    neighbours = idx.long().flatten()
    ratio = (spacing[neighbours].view(*idx.shape, 1) / spacing[: len(idx), None]).to(moments.dtype)
    theirs = moments[neighbours].view(*idx.shape, MOMENTS)
    place = edges[..., :3] + ratio * theirs[..., :3]
    mean = place.mean(dim=1)
    a, b = CROSS
    second = (ratio.square() * theirs[..., 3:] + place[..., a] * place[..., b]).mean(dim=1)
    return torch.cat([mean, second - mean[:, a] * mean[:, b]], dim=1)


def _hop_fused(idx: Tensor, edges: Tensor, spacing: Tensor, moments: Tensor) -> Tensor:
    out = moments.new_empty(len(idx), MOMENTS)
    _hop(*(tensor.numpy() for tensor in (idx, edges, spacing[:, 0], moments, out)))
    return out


@numba.njit(parallel=True, cache=True)
def _hop(idx: Any, edges: Any, spacing: Any, moments: Any, out: Any) -> None:
    n, k = idx.shape
    for i in numba.prange(n):
        sums = np.zeros(9)
        for j in range(k):
            s = idx[i, j]
            ratio = spacing[s] / spacing[i]
            x = edges[i, j, 0] + ratio * moments[s, 0]
            y = edges[i, j, 1] + ratio * moments[s, 1]
            z = edges[i, j, 2] + ratio * moments[s, 2]
            squared = ratio * ratio
            sums[0] += x
            sums[1] += y
            sums[2] += z
            sums[3] += squared * moments[s, 3] + x * x
            sums[4] += squared * moments[s, 4] + y * y
            sums[5] += squared * moments[s, 5] + z * z
            sums[6] += squared * moments[s, 6] + x * y
            sums[7] += squared * moments[s, 7] + x * z
            sums[8] += squared * moments[s, 8] + y * z
        sums /= k
        for a in range(3):
            out[i, a] = sums[a]
        out[i, 3] = sums[3] - sums[0] * sums[0]
        out[i, 4] = sums[4] - sums[1] * sums[1]
        out[i, 5] = sums[5] - sums[2] * sums[2]
        out[i, 6] = sums[6] - sums[0] * sums[1]
        out[i, 7] = sums[7] - sums[0] * sums[2]
        out[i, 8] = sums[8] - sums[1] * sums[2]
