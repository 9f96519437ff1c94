import numpy as np
import pytest
import torch
from torch import nn

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.array_graph import SPACING_NEIGHBOUR, local_spacing
from pcdenoise.kernels.neighbourhood import NeighbourGraph
from pcdenoise.networks.denoiser import DenoisingStage
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.fused import FusedNoiseLevel, FusedStage, noise_level_shapes, stage_shapes
from pcdenoise.networks.graphs import graph_at
from pcdenoise.networks.noise_level import NoiseLevel

GRAPH = {"neighbours": 9, "neighbourhoods": (4, 9), "hops": 2}


def arrays(network):
    return {name: its.numpy() for name, its in network.state_dict().items()}


def shapes(network):
    return {name: tuple(its.shape) for name, its in network.state_dict().items()}


def with_weights(network, std=0.2):
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)
    return network


def graph_of(fused, points, noisy):
    distances, idx = knn(points, GRAPH["neighbours"])
    spacing = local_spacing(distances[:, SPACING_NEIGHBOUR - 1], idx)
    return fused.features.graph(points, idx, spacing, (len(points),) * fused.features.layers, noisy)


@pytest.mark.parametrize("conditioning", ["input", "none"])
@pytest.mark.parametrize(("received", "noisy"), [(0, False), (16, True)])
def test_a_stage_is_that_of_torch(conditioning, received, noisy):
    """Against the module with gradients, which goes another way."""
    features = EdgeConvFeatures(32, 2, conditioning=conditioning, received=received, noisy=noisy, **GRAPH)
    stage = with_weights(DenoisingStage(features, 16))
    weights = arrays(stage)
    conditioned = conditioning == "input"
    assert stage_shapes(32, 2, features.scales, received, 16, conditioned=conditioned) == shapes(stage)
    fused = FusedStage(weights, **GRAPH, noisy=noisy)
    rng = np.random.default_rng(0)
    points = rng.standard_normal((300, 3))
    graph = graph_of(fused, points, points + 0.1 * rng.standard_normal((300, 3)))
    assert graph.moments.shape[1] == features.scales
    sigma = rng.uniform(0.1, 1, (300, 1)).astype(np.float32)
    given = rng.standard_normal((300, received)).astype(np.float32) if received else None
    found = fused(graph, sigma, given)
    wanted = stage(
        NeighbourGraph.of(graph), torch.from_numpy(sigma), None if given is None else torch.from_numpy(given)
    )
    for mine, its in zip(found, wanted, strict=True):
        assert its.abs().max() > 0.1
        np.testing.assert_allclose(mine, its.detach(), rtol=1e-4, atol=1e-4)


def test_the_noise_is_that_of_torch():
    network = with_weights(NoiseLevel(32, 2, **GRAPH), 0.4)
    assert noise_level_shapes(32, 2, network.features.scales) == shapes(network)
    points = np.random.default_rng(0).standard_normal((400, 3))
    fused = FusedNoiseLevel(arrays(network), **GRAPH)
    graph = graph_at(torch.from_numpy(points), network.features)
    for mine, its in zip(fused(points), network(graph), strict=True):
        assert its.std() > 0.1
        np.testing.assert_allclose(mine, its.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("signs", [(1, -1, -1), (-1, 1, -1), (1, 1, 1)])
def test_a_graph_turned_by_half_a_turn_is_that_of_the_turned_points(signs):
    fused = FusedStage(arrays(DenoisingStage(EdgeConvFeatures(16, 1, conditioning="none", **GRAPH), 16)), **GRAPH)
    points = np.random.default_rng(0).standard_normal((100, 3))
    turned, graph = graph_of(fused, points * signs, None), graph_of(fused, points, None).half_turned(signs)
    for part in ("idx", "edges", "moments", "spacing"):
        np.testing.assert_array_equal(getattr(graph, part), getattr(turned, part))
    tensors = NeighbourGraph.of(graph_of(fused, points, None)).half_turned(signs)
    np.testing.assert_array_equal(tensors.moments, graph.moments)
    np.testing.assert_array_equal(tensors.edges, graph.edges)
