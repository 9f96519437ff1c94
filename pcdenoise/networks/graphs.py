"""The graph of a cloud at the positions where it stands."""

import numpy as np
import torch
from torch import Tensor

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.neighbourhood import (
    SPACING_NEIGHBOUR,
    NeighbourGraph,
    build_graph,
    build_graph_at,
    local_spacing,
)
from pcdenoise.networks.features import EdgeConvFeatures


def graph_at(x: Tensor, features: EdgeConvFeatures) -> NeighbourGraph:
    """k-NN graph of a whole cloud for a feature extractor, differentiable in x where x asks for gradients.

    Which points are neighbours, and the local spacing, count as constants.

    Args:
        x: (n, 3), n above the extractor's neighbours.
        features: says how many neighbours, which moments and how many layers.
    """
    points = x.detach().cpu().numpy().astype(np.float64)
    distances, idx = knn(points, features.neighbours)
    spacing = local_spacing(distances[:, SPACING_NEIGHBOUR - 1], idx)
    sizes = (len(points),) * features.layers
    if not x.requires_grad:
        return build_graph(points, idx, spacing, features.neighbourhoods, sizes).to(x.device)
    unit = torch.from_numpy(spacing[:, None]).to(x)
    return build_graph_at(x, torch.from_numpy(idx).to(x.device), unit, features.neighbourhoods, sizes)
