from dataclasses import replace

import pytest
import torch
from clouds import patches_of
from torch import nn

from pcdenoise.networks.compat.luo_hu import LuoHu


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = LuoHu(convolutions=3, width=8, growth=4, neighbours=6, hidden=16, blocks=2)
    for block in network.head.blocks:
        nn.init.normal_(block.second.weight, std=0.3)
    return network.eval()


@pytest.fixture
def cloud():
    return torch.rand(90, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def field_of(network, points, count=1):
    ((x, field),) = network.fields(replace(patches_of(points, 0.1), clouds=(len(points) // count,) * count))
    assert torch.equal(x, torch.as_tensor(points))
    return field


def test_a_row_asked_in_its_frame_answers_as_in_the_cloud(network, cloud):
    field, sigma = field_of(network, cloud), torch.full((90, 1), 0.07)
    x = cloud + 0.02 * torch.randn(90, 3, generator=torch.Generator().manual_seed(2))
    rows = torch.tensor([3, 50, 3])
    offsets = (x - cloud)[rows].float()[:, None]
    torch.testing.assert_close(field.at(rows, offsets, sigma[rows])[:, 0], field(x, sigma)[rows])


def test_the_displacement_does_not_depend_on_the_level(network, cloud):
    field = field_of(network, cloud)
    levels = torch.full((90, 1), 0.05), torch.full((90, 1), 0.2)
    assert "levels" not in network.offers
    torch.testing.assert_close(*(sigma**2 * field(cloud, sigma) for sigma in levels))


def test_a_patch_does_not_depend_on_where_it_lies_nor_on_other_patches(network, cloud):
    sigma = torch.full((180, 1), 0.1)
    alone = field_of(network, cloud)(cloud + 0.01, sigma[:90])
    two = torch.cat([cloud, cloud + 16])
    both = field_of(network, two, count=2)(two + 0.01, sigma)
    torch.testing.assert_close(both, alone.repeat(2, 1), rtol=1e-4, atol=1e-4)


def test_the_order_of_points_does_not_matter(network, cloud):
    sigma, order = torch.full((90, 1), 0.1), torch.randperm(90, generator=torch.Generator().manual_seed(3))
    there = field_of(network, cloud[order])(cloud[order], sigma)
    torch.testing.assert_close(there, field_of(network, cloud)(cloud, sigma)[order], rtol=1e-4, atol=1e-4)


def test_it_learns_a_displacement(network, cloud):
    """Every part gets a gradient, and a few steps fit one patch."""
    network.train()
    rows, offsets = torch.arange(90), 0.02 * torch.randn(90, 8, 3, generator=torch.Generator().manual_seed(4))
    wanted = torch.tensor([0.3, -0.2, 0.1]) - offsets + cloud[:, None].float()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        displacement = field_of(network, cloud).at(rows, offsets, torch.ones(90, 1))
        loss = (displacement - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_lengths_are_counted_in_its_own_unit(network, cloud):
    scaled = LuoHu(convolutions=3, width=8, growth=4, neighbours=6, hidden=16, blocks=2, length=0.25).eval()
    scaled.load_state_dict(network.state_dict())
    x, sigma = cloud + 0.01, torch.full((90, 1), 0.07)
    expected = field_of(network, cloud)(x, sigma)
    found = field_of(scaled, 0.25 * cloud)(0.25 * x, 0.25 * sigma)
    torch.testing.assert_close(0.25 * found, expected)
