import copy

import numpy as np
import pytest
import torch
from clouds import patches_of
from torch import nn

from pcdenoise.kernels.neighbourhood import build_graph_at
from pcdenoise.networks.energy import EnergyField, EnergyNetwork
from pcdenoise.networks.graphs import graph_at


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = EnergyNetwork(channels=16, blocks=2, neighbours=12, neighbourhoods=(4, 12))
    for block in network.features.blocks:
        nn.init.normal_(block.reduce.weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def x():
    return torch.from_numpy(np.random.default_rng(0).random((80, 3)))


def energy(network, x):
    with torch.no_grad():
        return network(graph_at(x, network.features)).double().sum()


def test_energy_does_not_change_with_shift_scale_and_order(network, x):
    wanted = energy(network, x)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    for same in (x + 100.0, 8 * x, x[order]):
        torch.testing.assert_close(energy(network, same), wanted, rtol=1e-5, atol=1e-4)


def test_the_field_is_minus_the_gradient(network, x):
    """Against central differences in float64; which points are neighbours, and the spacing, count as constants."""
    field, exact = EnergyField(network)(x, torch.ones(80, 1)), copy.deepcopy(network).double()
    graph = graph_at(x, network.features)

    def at(moved):
        there = build_graph_at(moved, graph.idx, graph.spacing.double(), (4, 12), graph.sizes, torch.float64)
        with torch.no_grad():
            return exact(there).sum()

    for row, axis in ((0, 0), (17, 1), (42, 2)):
        step = torch.zeros_like(x)
        step[row, axis] = 1e-7
        slope = (at(x + step) - at(x - step)) / 2e-7
        assert -field[row, axis].item() == pytest.approx(slope.item(), rel=1e-3, abs=1e-3)


def test_forces_sum_to_zero(network, x):
    """Nothing pulls a cloud as a whole: the energy does not change when it is shifted."""
    field = EnergyField(network)(x, torch.ones(80, 1))
    torch.testing.assert_close(field.sum(dim=0), torch.zeros(3), atol=1e-4 * field.abs().sum().item(), rtol=0)


def test_a_loss_of_the_score_trains_every_layer(network, x):
    _, field = next(network.fields(patches_of(x, 0.1)))
    network.zero_grad()
    field(x, torch.ones(80, 1)).square().sum().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert not without - {"features.norm.bias"}


def test_without_gradients_the_field_is_plain_numbers(network, x):
    with torch.no_grad():
        assert not EnergyField(network)(x, torch.ones(80, 1)).requires_grad
