"""Moments of where the points of a neighbourhood were before they were moved."""

from dataclasses import replace

import torch
from torch import Tensor

from pcdenoise.kernels import array_graph
from pcdenoise.kernels.array_graph import MOMENTS
from pcdenoise.kernels.neighbourhood import NeighbourGraph, build_graph_at
from pcdenoise.kernels.wider_moments import wider_moments


def with_noisy_moments(
    graph: NeighbourGraph, points: Tensor, noisy: Tensor, neighbourhoods: tuple[int, ...], hops: int
) -> NeighbourGraph:
    """The graph with wider moments, and behind them those of the noisy positions of the same neighbourhoods.

        mean_i = mean_j q_ij,   cov_i = mean_j q_ij q_ij^T - mean_i mean_i^T,   q_ij = (y_j - x_i) / s_i

    with noisy positions `y`, points `x` and neighbours `j` of `x_i`, wider ones as in `with_wider_moments`. First comes
    the neighbourhood of the point alone, with mean `(y_i - x_i) / s_i`.

    What has been moved tells which points belong together, the noisy positions where they are to be: a mean over them
    is free of the errors that were made in moving (Dabov et al., "Image denoising by sparse 3-D transform-domain
    collaborative filtering", 2007, whose second step does so with patches of an image).

    Args:
        graph: of the points, of `hops` more rings than layers ask for.
        points, noisy: (m, 3) float64, m the rows that the graph gathers from.
        neighbourhoods: of the graph.
        hops: see `with_wider_moments`.

    Returns:
        The graph with (n', 2 (len(neighbourhoods) + hops) + 1, 9) moments.
    """
    if not (graph.moments.is_cuda or any(its.requires_grad for its in (graph.moments, points, noisy))):
        its = (points.double().numpy(), noisy.double().numpy())
        return NeighbourGraph.of(array_graph.with_noisy_moments(graph.arrays(), *its, neighbourhoods, hops))
    both = torch.cat([points, noisy])
    unit = graph.spacing.to(both.dtype)
    before = build_graph_at(both, graph.idx + len(points), unit, neighbourhoods, graph.sizes).moments
    rows = graph.sizes[hops]
    alone = before.new_zeros(rows, 1, MOMENTS)
    alone[:, 0, :3] = (noisy[:rows] - points[:rows]) / unit[:rows]
    moments = [graph.moments[:rows], alone, before[:rows]]
    if hops:
        wider, wider_before = wider_moments(graph, torch.stack([graph.moments[:, -1], before[:, -1]], dim=1), hops)
        moments = [moments[0], wider, *moments[1:], wider_before]
    return replace(graph, moments=torch.cat(moments, dim=1), sizes=graph.sizes[hops:])
