import math

import numpy as np
import pytest
import torch
from clouds import patches_of

from pcdenoise.networks.graphs import graph_at
from pcdenoise.networks.noise_level import NoiseLevel


def plane(n=600, sigma=0.4, seed=0):
    """A noisy plane with one point per unit area."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(0, math.sqrt(n), (n, 2)), np.zeros(n)])
    return points + sigma * rng.normal(size=points.shape)


def test_an_answer_scales_with_the_cloud():
    torch.manual_seed(0)
    network = NoiseLevel(channels=16, blocks=1)
    torch.nn.init.normal_(network.head.weight)
    points = plane()
    with torch.no_grad():
        level, error = network(graph_at(torch.from_numpy(points), network.features))
        larger, same = network(graph_at(torch.from_numpy(10.0 * points), network.features))
    torch.testing.assert_close(larger, level + math.log(10), rtol=0, atol=1e-3)
    torch.testing.assert_close(same, error, rtol=0, atol=1e-3)


def test_fresh_weights_call_the_local_spacing_the_noise_and_the_loss_is_that_of_the_formula():
    network = NoiseLevel(channels=16, blocks=1)
    patches = patches_of(plane(), 0.4)
    graph = graph_at(patches.noisy, network.features)
    error = graph.spacing[:, 0].log() - math.log(0.4)
    expected = error.abs().mean() + 2.0 * error.mean().abs()
    assert network.loss(patches).item() == pytest.approx(expected.item(), rel=1e-5)


def test_it_learns_the_noise_of_a_plane():
    torch.manual_seed(0)
    network = NoiseLevel(channels=16, blocks=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    rng = np.random.default_rng(0)

    def error():
        """Mean over planes that it has not seen."""
        errors = []
        for seed, sigma in enumerate((0.2, 0.4, 0.8)):
            graph = graph_at(torch.from_numpy(plane(sigma=sigma, seed=1000 + seed)), network.features)
            with torch.no_grad():
                errors.append(abs(network(graph)[0].median().item() - math.log(sigma)))
        return np.mean(errors)

    before = error()
    for step in range(50):
        sigma = float(np.exp(rng.uniform(np.log(0.15), 0.0)))
        loss = network.loss(patches_of(plane(sigma=sigma, seed=step), sigma))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert error() < 0.6 * before
