import numpy as np
import torch
from torch import nn

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.neighbourhood import build_graph, local_spacing
from pcdenoise.networks.denoiser import StagedDenoiser


def graph_of(points, stage):
    distances, idx = knn(points, stage.neighbours)
    spacing = local_spacing(distances[:, 7], idx)
    return build_graph(points, idx, spacing, stage.neighbourhoods, (len(points),) * (len(stage.blocks) + 1))


def small_model():
    torch.manual_seed(0)
    model = StagedDenoiser(channels=16, blocks=(2, 1), neighbours=12, neighbourhoods=(4, 12), handed_on=8)
    for stage in model.stages:
        nn.init.normal_(stage.head.weight, std=0.1)
        for block in stage.blocks:
            nn.init.normal_(block.reduce.weight, std=0.1)
    return model.eval()


def run(model, points, sigma):
    received = None
    for stage in model.stages:
        graph = graph_of(points, stage)
        with torch.no_grad():
            move, received = stage(graph, torch.full((len(points), 1), sigma), received)
        points = points + move.double().numpy()
    return points


def test_an_untrained_network_moves_nothing():
    points = np.random.default_rng(0).random((80, 3))
    np.testing.assert_array_equal(run(StagedDenoiser(16, (1, 1), 12, (4, 12), 8).eval(), points, 0.1), points)


def test_scale_shift_and_order_do_not_matter():
    model, points = small_model(), np.random.default_rng(0).random((100, 3))
    wanted = run(model, points, 0.05)
    assert np.abs(wanted - points).max() > 1e-3
    np.testing.assert_allclose(run(model, points * 1024, 0.05 * 1024) / 1024, wanted, atol=1e-6)
    np.testing.assert_allclose(run(model, points + 4096, 0.05) - 4096, wanted, atol=1e-6)
    order = np.random.default_rng(1).permutation(100)
    np.testing.assert_allclose(run(model, points[order], 0.05), wanted[order], atol=1e-6)
