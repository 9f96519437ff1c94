"""The graph of a cloud at the positions where it stands."""

import numpy as np
import torch
from torch import Tensor

from pcdenoise.geometry.bucket_tree import BucketTree
from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.array_graph import DISC_RADIUS, SPACING_NEIGHBOUR, local_spacing
from pcdenoise.kernels.neighbourhood import NeighbourGraph, build_graph, build_graph_at
from pcdenoise.kernels.noisy_moments import with_noisy_moments
from pcdenoise.kernels.wider_moments import with_wider_moments
from pcdenoise.networks.features import EdgeConvFeatures


def graph_at(x: Tensor, features: EdgeConvFeatures, noisy: Tensor | None = None) -> NeighbourGraph:
    """k-NN graph of a whole cloud for a feature extractor, differentiable in x where x asks for gradients.

    Which points are neighbours, and the local spacing, count as constants. On CUDA all of it is computed there.

    Args:
        x: (n, 3), n above the extractor's neighbours.
        features: says how many neighbours, which moments and how many layers.
        noisy: (n, 3) where the points were, for features that see it.
    """
    graph = _graph(x, features, (len(x),) * features.layers)
    return with_moments(graph, x, noisy, features)


def with_moments(graph: NeighbourGraph, x: Tensor, noisy: Tensor | None, features: EdgeConvFeatures) -> NeighbourGraph:
    """The graph of the points x with all moments that a feature extractor sees.

    Args:
        graph: with those of its own neighbourhoods.
        x, noisy: (m, 3), m the rows that it gathers from; `noisy` for features that see it.
        features: see `graph_at`.
    """
    if not features.noisy:
        return with_wider_moments(graph, features.hops)
    assert noisy is not None
    return with_noisy_moments(graph, x, noisy, features.neighbourhoods, features.hops)


def _graph(x: Tensor, features: EdgeConvFeatures, sizes: tuple[int, ...]) -> NeighbourGraph:
    if x.is_cuda:
        return device_graph(x, features.neighbours, features.neighbourhoods, sizes)
    points = x.detach().numpy().astype(np.float64)
    distances, idx = knn(points, features.neighbours)
    spacing = local_spacing(distances[:, SPACING_NEIGHBOUR - 1], idx)
    if not x.requires_grad:
        return build_graph(points, idx, spacing, features.neighbourhoods, sizes)
    unit = torch.from_numpy(spacing[:, None]).to(x)
    return build_graph_at(x, torch.from_numpy(idx), unit, features.neighbourhoods, sizes)


def device_graph(x: Tensor, neighbours: int, neighbourhoods: tuple[int, ...], sizes: tuple[int, ...]) -> NeighbourGraph:
    """k-NN graph of a whole cloud, searched and measured in plain torch on the device of x; differentiable in x.

    Args:
        x: (n, 3) finite, n above `neighbours`.
        neighbours: k.
        neighbourhoods: increasing neighbour counts, the last at most k.
        sizes: see `NeighbourGraph`.
    """
    distances, idx = BucketTree(x).neighbours(neighbours)
    spacing = device_spacing(distances[:, SPACING_NEIGHBOUR - 1], idx)
    return build_graph_at(x if x.requires_grad else x.double(), idx, spacing[:, None], neighbourhoods, sizes)


def device_spacing(distances: Tensor, idx: Tensor) -> Tensor:
    """`pcdenoise.kernels.neighbourhood.local_spacing` in plain torch: (m,) and (n, k) to (n,), in their dtype."""
    middle = idx.shape[1] - 1
    around = distances[idx.long()].sort(dim=1).values
    return (around[:, middle // 2] + around[:, (middle + 1) // 2]) / 2 / DISC_RADIUS
