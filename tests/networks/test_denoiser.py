import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from clouds import patches_of
from torch import nn

from pcdenoise.errors import UsageError
from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.subsets import interleaved_subsets
from pcdenoise.kernels.neighbourhood import build_graph_at
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.networks.graphs import graph_at
from pcdenoise.relaxation import RELAXATION, relax_tangentially

SHAPE = {"channels": 16, "neighbours": 12, "neighbourhoods": (4, 12), "handed_on": 8}


def small_model(conditioning="input"):
    torch.manual_seed(0)
    model = StagedDenoiser(**SHAPE, blocks=(2, 1), conditioning=conditioning)
    for stage in model.stages:
        nn.init.normal_(stage.head.weight, std=0.1)
        for block in stage.features.blocks:
            nn.init.normal_(block.reduce.weight, std=0.1)
            if block.film is not None:
                nn.init.normal_(block.film.weight, std=0.1)
    return model.eval()


def run(model, points, sigma):
    patches = patches_of(points, sigma)
    with torch.no_grad():
        for x, field in model.fields(patches):
            points = (x + patches.estimate**2 * field(x, patches.estimate)).numpy()
    return points


def test_an_untrained_network_moves_nothing():
    points = np.random.default_rng(0).random((80, 3))
    np.testing.assert_array_equal(run(StagedDenoiser(**SHAPE, blocks=(1, 1)).eval(), points, 0.1), points)


@pytest.mark.parametrize("conditioning", ["none", "input", "film"])
def test_scale_shift_and_order_do_not_matter(conditioning):
    model, points = small_model(conditioning), np.random.default_rng(0).random((100, 3))
    wanted = run(model, points, 0.05)
    assert np.abs(wanted - points).max() > 1e-3
    np.testing.assert_allclose(run(model, points * 1024, 0.05 * 1024) / 1024, wanted, atol=1e-6)
    np.testing.assert_allclose(run(model, points + 4096, 0.05) - 4096, wanted, atol=1e-6)
    order = np.random.default_rng(1).permutation(100)
    np.testing.assert_allclose(run(model, points[order], 0.05), wanted[order], atol=1e-6)


def test_only_a_conditioned_network_hears_the_noise_level():
    points = np.random.default_rng(0).random((100, 3))
    for conditioning in ("none", "input", "film"):
        model = small_model(conditioning)
        same = np.allclose(run(model, points, 0.05), run(model, points, 0.2), atol=1e-6)
        assert same == (conditioning == "none") == ("levels" not in model.offers)
    with pytest.raises(UsageError, match="one of none, input, film"):
        small_model("flim")


def test_no_gradient_runs_from_stage_to_stage():
    model = small_model()
    patches = patches_of(np.random.default_rng(0).random((100, 3)), 0.05)
    *_, last = (field(x, patches.estimate) for x, field in model.fields(patches))
    last.square().sum().backward()
    assert model.stages[1].head.weight.grad is not None
    assert model.stages[0].head.weight.grad is None
    # but the features that are handed on are trained by the stage that receives them
    assert model.stages[0].hand_on.weight.grad.abs().sum() > 0


def test_a_frozen_stage_keeps_nothing_for_a_gradient():
    points = np.random.default_rng(0).random((100, 3))
    free, frozen = small_model(), small_model()
    frozen.stages[0].requires_grad_(False)
    moves = []
    for model in (free, frozen):
        patches = patches_of(points, 0.05)
        moves.append([field(x, patches.estimate) for x, field in model.fields(patches)])
        moves[-1][1].square().sum().backward()
    assert [move.requires_grad for move in moves[1]] == [False, True]
    for its, wanted in zip(moves[1], moves[0], strict=True):
        torch.testing.assert_close(its, wanted, rtol=0, atol=1e-4)
    for its, wanted in zip(frozen.stages[1].parameters(), free.stages[1].parameters(), strict=True):
        torch.testing.assert_close(its.grad, wanted.grad, rtol=1e-3, atol=1e-3)


def test_strong_noise_is_looked_at_in_interleaved_subsets():
    """The first stage moves each subset as it would move a cloud that is nothing but this subset; the next sees all."""
    model, points = small_model(), np.random.default_rng(0).standard_normal((1500, 3)) * [6.0, 6.0, 1.0]
    model.FULL_SUBSET = 500
    model.subset_sigma, told = 0.5, 0.5 * spacing(points) * 3**0.5
    # by the rough estimate
    patches = replace(patches_of(points, told), estimate=torch.full((1500, 1), 0.9 * told))
    subsets = interleaved_subsets(points, 3)
    with torch.no_grad():
        x, first = next(model.fields(patches))
        move = (0.9 * told) ** 2 * first(x, patches.estimate)
        model.subset_sigma = None
        for subset in range(3):
            alone = patches_of(points[subsets == subset], 0.9 * told)
            x, field = next(model.fields(alone))
            torch.testing.assert_close(
                move[subsets == subset], (0.9 * told) ** 2 * field(x, alone.estimate), rtol=1e-4, atol=1e-5
            )


def test_how_many_subsets():
    model = small_model()
    assert model.subsets(100.0, 100_000) == 1
    model.subset_sigma = 0.8
    found = [model.subsets(0.8 * m**0.5, 36_000) for m in (0.1, 1, 2.3, 6, 8, 14)]
    # half as many where they would have less than 6,000 points
    assert found == pytest.approx([1, 1, 2.3, 6, 6, 7])
    assert model.subsets(100.0, 36_000) == 36  # of at least 500 points before they are halved
    assert model.subsets(100.0, 80) == 1
    with pytest.raises(UsageError, match="subset_sigma is 0"):
        StagedDenoiser(**SHAPE, blocks=(1,), subset_sigma=0)


def asked(model, patches):
    """Where each field was asked, its answer, and the field."""
    return [(x, field(x, patches.estimate), field) for x, field in model.fields(patches)]


def test_the_last_stage_polishes():
    """It sees what those before it made, spread evenly, and is told its share of the noise."""
    points = np.random.default_rng(0).standard_normal((300, 3)) * [6.0, 6.0, 0.1]
    patches, model = patches_of(points, 0.5), small_model()
    polishing = StagedDenoiser(**SHAPE, blocks=(2, 1), polish=0.25).eval()
    polishing.load_state_dict(model.state_dict())
    assert (model.shares, polishing.shares) == ((1.0, 1.0), (1.0, 0.25))
    with torch.no_grad():
        (_, _, first), (before, _, _) = asked(model, patches)
        (_, _, same), (x, score, _) = asked(polishing, patches)
        torch.testing.assert_close(same.move, first.move, rtol=0, atol=0)
        spread = relax_tangentially(before.numpy(), np.full(300, RELAXATION * 0.5))
        np.testing.assert_array_equal(x.numpy(), spread)
        graph = graph_at(x, model.stages[1].features)
        wanted, _ = model.stages[1](graph, 0.25 * patches.estimate, first.handed_on)
        torch.testing.assert_close(patches.estimate**2 * score, wanted)
    for blocks, polish in (((2,), 0.5), ((2, 1), 0), ((2, 1), 1)):
        with pytest.raises(UsageError, match=f"polish is {polish}"):
            StagedDenoiser(**SHAPE, blocks=blocks, polish=polish)
    with pytest.raises(UsageError, match="in 2 of 2 stages"):
        StagedDenoiser(**SHAPE, blocks=(2, 1), polish=0.5, polishes=2)
    model = StagedDenoiser(**SHAPE, blocks=(1, 1, 1), polish=[0.25, 0.35], polishes=2)
    assert (model.shares, model.limits) == ((1.0, 0.25, 0.35), (0.0, 1.0, 0.25))
    with pytest.raises(UsageError, match=r"polish is \[0.25, 0.35\], in 1 of 3"):
        StagedDenoiser(**SHAPE, blocks=(1, 1, 1), polish=[0.25, 0.35])


def test_of_three_stages_that_polish_each_looks_at_fewer_subsets():
    model = StagedDenoiser(**SHAPE, blocks=(1, 1, 1, 1), subset_sigma=0.5, polish=0.25, polishes=3, polish_subsets=2.0)
    assert [model.stage_subsets(p, 8.0, 200_000) for p in range(6)] == [8.0, 16.0, 4.0, 1.0, 1.0, 1.0]
    assert [model.stage_subsets(p, 8.0, 54_000) for p in range(4)] == [8.0, 9.0, 3.0, 1.0]
    assert model.limits == (0.0, 1.0, 0.25, 0.25)
    single = StagedDenoiser(**SHAPE, blocks=(1, 1), subset_sigma=0.5, polish=0.25, polish_subsets=2.0)
    assert [single.stage_subsets(p, 8.0, 200_000) for p in range(3)] == [8.0, 16.0, 1.0]


def test_two_stages_polish_the_first_of_them_in_subsets():
    """Each after the points were spread, the second time less; both know what the stage that led handed on."""
    points = np.random.default_rng(0).standard_normal((1500, 3)) * [6.0, 6.0, 1.0]
    sigma = 0.5 * spacing(points) * 4**0.5
    patches = patches_of(points, sigma, cloud=48_000)
    torch.manual_seed(0)
    model = StagedDenoiser(
        **SHAPE, blocks=(1, 1, 1), subset_sigma=0.5, polish=0.25, polishes=2, polish_subsets=2.0
    ).eval()
    model.SMALLEST_SUBSET = 100
    for stage in model.stages:
        nn.init.normal_(stage.head.weight, std=0.03)
    assert (model.leading, model.shares, model.limits) == (1, (1.0, 0.25, 0.25), (0.0, 1.0, 0.25))
    assert [model.stage_subsets(p, 4.0, 48_000) for p in range(3)] == [4.0, 8.0, 1.0]
    # subsets of at least 6,000 points of the cloud, and not of the patch
    assert [model.stage_subsets(1, 4.0, points) for points in (47_999, 12_000, 1500)] == [7.0, 2.0, 1.0]
    assert model.stage_subsets(1, 0.3, 48_000) == 1.0
    with torch.no_grad():
        (_, _, first), (x, score, polished), (last, answer, _) = asked(model, patches)
        move, subsets = sigma**2 * score, interleaved_subsets(x.numpy(), 8)
        for subset in range(8):
            rows = torch.from_numpy(np.flatnonzero(subsets == subset))
            graph = graph_at(x[rows], model.stages[1].features)
            alone, _ = model.stages[1](graph, 0.25 * patches.estimate[rows], first.handed_on[rows])
            torch.testing.assert_close(move[rows], alone, rtol=1e-4, atol=1e-5)
        spread = relax_tangentially((x + polished.move).numpy(), np.full(1500, RELAXATION * 0.25 * sigma))
        np.testing.assert_allclose(last.numpy(), spread, atol=1e-6)  # the limit is float32 there
        graph = graph_at(last, model.stages[2].features)
        wanted, _ = model.stages[2](graph, 0.25 * patches.estimate, first.handed_on)
        torch.testing.assert_close(sigma**2 * answer, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="polish_subsets is -1"):
        StagedDenoiser(**SHAPE, blocks=(2,), polish_subsets=-1)


def test_later_stages_see_where_the_points_were():
    points = np.random.default_rng(0).standard_normal((300, 3)) * [6.0, 6.0, 0.1]
    patches = patches_of(points, 0.5)
    torch.manual_seed(0)
    model = StagedDenoiser(**SHAPE, blocks=(1, 1), noisy_moments=True).eval()
    for stage in model.stages:
        nn.init.normal_(stage.head.weight, std=0.03)
    plain = StagedDenoiser(**SHAPE, blocks=(1, 1)).eval()
    seen = plain.stages[1].features.scales
    assert [stage.features.scales for stage in model.stages] == [seen, 2 * seen + 1]
    plain.stages[0].load_state_dict(model.stages[0].state_dict())
    with torch.no_grad():
        (_, _, first), (x, score, _) = asked(model, patches)
        torch.testing.assert_close(asked(plain, patches)[0][1], asked(model, patches)[0][1], rtol=0, atol=0)
        for noisy, same in ((patches.noisy, True), (x, False)):
            graph = graph_at(x, model.stages[1].features, noisy)
            move, _ = model.stages[1](graph, patches.estimate, first.handed_on)
            assert torch.allclose(patches.estimate**2 * score, move, rtol=1e-4, atol=1e-5) == same


def test_the_score_has_a_derivative():
    """Against central differences in float64; which points are neighbours, and the spacing, count as constants."""
    model, x = small_model(), torch.from_numpy(np.random.default_rng(0).random((60, 3)))
    sigma, stage = torch.full((60, 1), 0.05), model.stages[0]
    _, field = next(model.fields(patches_of(x, 0.05)))
    asked = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(field(asked, sigma).sum(), asked)
    graph, exact = graph_at(x, stage.features), copy.deepcopy(stage).double()

    def at(moved):
        there = build_graph_at(moved, graph.idx, graph.spacing.double(), (4, 12), graph.sizes, torch.float64)
        with torch.no_grad():
            return (exact(there, sigma.double())[0] / 0.05**2).sum()

    step = 1e-8 * torch.from_numpy(np.random.default_rng(1).standard_normal((60, 3)))
    slope = (at(x + step) - at(x - step)) / 2e-8
    assert (gradient * step).sum().item() / 1e-8 == pytest.approx(slope.item(), rel=1e-3)
