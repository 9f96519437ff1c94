"""Moments of neighbourhoods wider than those of the graph, without a wider search."""

from dataclasses import replace

import torch
from torch import Tensor

from pcdenoise.kernels import array_graph
from pcdenoise.kernels.array_graph import MOMENTS
from pcdenoise.kernels.neighbourhood import NeighbourGraph

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
    if not (graph.moments.is_cuda or graph.moments.requires_grad):
        return NeighbourGraph.of(array_graph.with_wider_moments(graph.arrays(), hops))
    rows = graph.sizes[hops]
    moments = torch.cat([graph.moments[:rows], wider_moments(graph, graph.moments[:, -1:], hops)[0]], dim=1)
    return replace(graph, moments=moments, sizes=graph.sizes[hops:])


def wider_moments(graph: NeighbourGraph, moments: Tensor, hops: int) -> tuple[Tensor, ...]:
    """Moments of `hops` wider neighbourhoods for each of several kinds, as in `with_wider_moments`.

    In plain torch: differentiable, on any device.

    Args:
        graph: of `hops` more rings than layers ask for.
        moments: (n, kinds, 9) of the neighbourhoods to begin with.
        hops: from 1.

    Returns:
        (n', hops, 9) for each kind, n' = `sizes[hops]`.
    """
    rows = graph.sizes[hops]
    unit = graph.spacing[: len(moments), None]
    scale = torch.cat([unit.expand(-1, 1, 3), unit.square().expand(-1, 1, MOMENTS - 3)], dim=2).to(moments.dtype)
    levels = [scale * moments]
    for size in graph.sizes[1 : hops + 1]:
        levels.append(_hop(graph.idx[:size], graph.edges[:size], graph.spacing, levels[-1]))
    return (torch.stack([level[:rows] for level in levels[1:]], dim=2) / scale[:rows, :, None]).unbind(dim=1)


def _hop(idx: Tensor, edges: Tensor, spacing: Tensor, moments: Tensor) -> Tensor:
    """One hop of moments (m, kinds, 9) in the unit of the points."""
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
