import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from clouds import patches_of
from torch import nn

from pcdenoise.denoisers import staged
from pcdenoise.denoisers.device_tiling import DeviceTiling
from pcdenoise.denoisers.learned import LearnedDenoiser
from pcdenoise.denoisers.staged import StagedRun
from pcdenoise.denoisers.tiling import Tiling
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.noise import spacing
from pcdenoise.networks.conditional import ConditionalScore
from pcdenoise.networks.denoiser import StagedDenoiser, StageField
from pcdenoise.networks.energy import EnergyNetwork
from pcdenoise.networks.stage_plan import StagePlan
from pcdenoise.relaxation import RELAXATION, relax_tangentially
from pcdenoise.samplers.ascent import Ascent

SHAPE = {"channels": 16, "neighbours": 12, "neighbourhoods": (4, 12), "handed_on": 8}


@pytest.fixture(scope="module")
def model():
    """Small, with weights that make every layer count."""
    torch.manual_seed(0)
    model = StagedDenoiser(**SHAPE, blocks=(2, 2))
    for stage in model.stages:
        nn.init.normal_(stage.head.weight, std=0.1)
        for block in stage.features.blocks:
            nn.init.normal_(block.reduce.weight, std=0.1)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def networks(model):
    torch.manual_seed(0)
    energy = EnergyNetwork(channels=16, blocks=2, neighbours=12, neighbourhoods=(4, 12))
    conditional = ConditionalScore(16, 2, 12, (4, 12), hidden=16, residual=2)
    nn.init.normal_(conditional.leave.weight, std=0.3)
    for network in (energy, conditional):
        for block in network.features.blocks:
            nn.init.normal_(block.reduce.weight, std=0.1)
    one_stage = StagedDenoiser(**SHAPE, blocks=(2,))
    one_stage.stages[0].load_state_dict(model.stages[0].state_dict())
    built = {"staged": one_stage, "energy": energy, "conditional": conditional}
    return {name: network.eval().requires_grad_(False) for name, network in built.items()}


@pytest.fixture(scope="module")
def cloud():
    rng = np.random.default_rng(0)
    plane = rng.random((5000, 3)) * [70, 70, 0]
    return plane + 0.5 * rng.standard_normal(plane.shape)


@pytest.fixture
def by_moves(monkeypatch):
    """Sets what is told by how far points move, of sparse clouds and of dense ones, whatever the tails."""

    def by_moves(sparse, dense):
        monkeypatch.setattr(staged, "AGAIN_SPARSE", np.array(sparse))
        monkeypatch.setattr(staged, "AGAIN_DENSE", np.array(dense))
        monkeypatch.setattr(staged, "BOUNDED", 0.0)

    return by_moves


def run(model, cloud, **options):
    return LearnedDenoiser(model, **options)(cloud, np.full(len(cloud), 0.5), 2)


def test_the_tile_size_does_not_change_the_result(model, cloud):
    whole = run(model, cloud)
    assert np.abs(whole - cloud).max() > 0.1
    for tile in (1200, 3000):
        np.testing.assert_allclose(run(model, cloud, tile=tile), whole, atol=1e-5)


def test_the_same_bits_every_time(model, cloud):
    np.testing.assert_array_equal(run(model, cloud), run(model, cloud))


def test_the_same_bits_at_any_thread_count(model, cloud):
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(run(model, cloud))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*results)


def test_order_does_not_matter(model, cloud):
    order = np.random.default_rng(1).permutation(len(cloud))
    np.testing.assert_allclose(run(model, cloud[order]), run(model, cloud)[order], atol=1e-5)


@pytest.mark.parametrize("walls", [False, True])
def test_progress_reaches_one(model, cloud, walls, by_moves):
    by_moves(*[[[1e6, 2e6], [0.5, 1.0]]] * 2)
    told = []
    LearnedDenoiser(model, tile=1500, walls=walls)(cloud, np.full(len(cloud), 0.5), 2, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == (13 if walls else 9)  # the first stage a second time


def test_a_point_without_an_answer_keeps_its_place(model, cloud, monkeypatch):
    original = Tiling.run

    def poisoned(self, evaluate, outputs, progress):
        original(self, evaluate, outputs, progress)
        outputs[0][0] = np.nan

    monkeypatch.setattr(Tiling, "run", poisoned)
    result = LearnedDenoiser(model, relaxation=0.0)(cloud, np.full(len(cloud), 0.5), 1)
    assert np.isfinite(result).all()
    assert (result == cloud).all(axis=1).sum() == 1


@pytest.mark.parametrize("network", ["staged", "energy", "conditional"])
def test_a_field_in_tiles_is_the_field_in_training(networks, cloud, network):
    """The same score, whether a batch of patches asks or the engine, in whatever tiles and unit."""
    network = networks[network]
    points, sigma = cloud[:2000], torch.full((2000, 1), 0.5)
    x = torch.from_numpy(points)
    with torch.no_grad():
        _, wanted = next((x, field(x, sigma)) for x, field in network.fields(patches_of(points, 0.5)))
    for tile, scale in ((200_000, 1.0), (1100, 1.0), (3000, 1000.0)):
        denoiser = LearnedDenoiser(network, tile=tile, ensemble=1, walls=False)
        field = denoiser.field(scale * x + 5.0, (scale * sigma).double())
        found = scale * field(scale * x + 5.0, (scale * sigma).double())
        error = (found - wanted).norm() / wanted.norm()
        assert error < 1e-4, (tile, scale, error)


def test_subsets_in_tiles_are_those_in_training(networks, cloud, monkeypatch):
    """Strong noise: the engine parts the cloud as training parts a patch, and mixes what lies between whole numbers."""
    monkeypatch.setattr(StagePlan, "FULL_SUBSET", 500)
    monkeypatch.setattr(staged, "TOLD_SPARSE", 1.0)
    network = copy.deepcopy(networks["staged"])
    points, told = cloud[:2000] / spacing(cloud[:2000]), 0.9
    moves = []
    for network.subset_sigma in (None, 0.9 / 3**0.5):
        with torch.no_grad():
            x, field = next(network.fields(patches_of(points, told)))
            moves.append((told**2 * field(x, torch.full((2000, 1), told))).numpy())
        for tile in (200_000, 1100):
            denoiser = LearnedDenoiser(network, tile=tile, relaxation=0.0, walls=False)
            found = denoiser(points, np.full(2000, told), 1) - points
            assert np.linalg.norm(found - moves[-1]) < 1e-4 * np.linalg.norm(moves[-1])
    assert np.linalg.norm(moves[0] - moves[1]) > 0.1 * np.linalg.norm(moves[0])

    def found(count):
        network.subset_sigma = told / count**0.5
        return LearnedDenoiser(network, relaxation=0.0, walls=False)(points, np.full(2000, told), 1)

    np.testing.assert_allclose(found(2.25), 0.75 * found(2) + 0.25 * found(3), atol=1e-6)
    full = found(2)
    monkeypatch.setattr(StagePlan, "FULL_SUBSET", 1001)
    np.testing.assert_allclose(found(4), full, atol=1e-6)


def test_by_how_far_points_move_less_is_told_or_more(model, cloud, by_moves, monkeypatch):
    def moved(told, passes=2, walls=False):
        return LearnedDenoiser(model, relaxation=0.0, walls=walls)(cloud, np.full(len(cloud), told), passes)

    free, never = moved(0.5), np.array([[0.0, 0.1, 0.2], [0.1, 0.1, 0.1]])
    for n, sparse in ((len(cloud), False), (10 * len(cloud), True)):
        monkeypatch.setattr(staged, "SPARSE", n // 2)
        monkeypatch.setattr(staged, "DENSE", n)
        estimate = staged.estimate_behind(0.5, len(cloud))
        ratio = np.sqrt(((moved(0.5, 1) - cloud) ** 2).sum(axis=1).mean()) / estimate
        for moves, factor in (([1.1, 1.2, 1.3], 0.8), ([0.8, 1.0, 1.2], 1.0), ([0.7, 0.8, 0.9], 1.1)):
            table = np.array([np.array(moves) * ratio, [0.8, 1.0, 1.1]])
            by_moves(*((table, never) if sparse else (never, table)))
            np.testing.assert_allclose(moved(0.5, walls=True), moved(0.5 * factor), atol=1e-4)
        hasty = moved(0.5, passes=1, walls=True)
        np.testing.assert_allclose(hasty, moved(0.5 if sparse else 0.55, passes=1), atol=1e-4)
        monkeypatch.setattr(staged, "RAISED", 1.01 * estimate)
        np.testing.assert_allclose(moved(0.5, walls=True), free, atol=1e-4)
        monkeypatch.undo()
    assert np.abs(free - moved(0.55)).max() > 0.01


def lengths(n, tails):
    """Of moves along the normal, root mean square 1: of Gaussian noise, of that cut off, or in a ball."""
    rng = np.random.default_rng(0)
    moves = {
        "long": rng.standard_normal(n),
        "short": np.clip(rng.standard_normal(n), -1.8, 1.8),
        "none": 2 * rng.beta(2, 2, n) - 1,
    }[tails]
    return np.abs(moves) / np.sqrt((moves**2).mean())


def test_noise_without_tails_is_not_taken_for_thin_walls():
    gaussian, ball = lengths(20_000, "long"), lengths(20_000, "none")
    assert staged.is_bounded(ball, 50_000)
    assert not staged.is_bounded(ball, 10_000)
    assert not staged.is_bounded(gaussian, 50_000)
    for n, table in ((50_000, staged.AGAIN_DENSE), (10_000, staged.AGAIN_SPARSE)):
        assert staged.told_again(0.8 * gaussian, n) == pytest.approx(table[1, 0])
        assert table[1, 0] < 1  # told less
        assert staged.told_again(np.append(gaussian, np.nan), n) == 1
    furthest = {1.0: 0.8 * ball, 1.1: 0.9 * ball, 1.2: 0.895 * ball, 1.4: 0.85 * ball}
    assert staged.raised_by(furthest, 50_000) == pytest.approx(1.2)
    assert 1 < staged.raised_by(furthest, 22_000) < 1.2


def told_levels(n, truth, reach, tails):
    """What the first of two stages over a cloud of n points is told, 0.6 at first, and what the second one is; moves
    over what is told are largest, reach, where that is the truth."""
    rng = np.random.default_rng(1)
    points = rng.random((n, 3)) * [n**0.5, n**0.5, 0]
    noise, told = lengths(n, tails), ([], [])

    class Stages:
        def graphs(self, stage, points, noisy=None):
            return points

        def ask(self, stage, graphs, sigma, *rest):
            told[stage].append(float(sigma[0]))
            nearness = 2 * truth * sigma[0] / (sigma[0] ** 2 + truth**2)
            move = np.zeros((len(graphs), 3), np.float32)
            move[:, 2] = reach * sigma[0] * nearness**8 * noise[: len(graphs)]
            return move, move

    run = StagedRun(StagePlan(2, None, None, 0, 0.0), Stages(), 0.0, walls=True, half_turn=False)
    run(points, np.full(n, 0.6), 2, lambda done: None)
    return told


@pytest.mark.parametrize("n", [50_000, 70_000])
def test_the_level_of_noise_without_tails_is_where_points_move_furthest(n):
    assert told_levels(n, 0.78, 0.9, "none")[1] == [pytest.approx(0.78)]
    # told as much less as walls are
    assert told_levels(n, 0.78, 0.9, "long")[1] == [pytest.approx(0.6 * staged.AGAIN_DENSE[1, 0])]


def test_what_has_been_asked_is_not_asked_again():
    asked, _ = told_levels(50_000, 0.78, 0.9, "none")
    assert asked == pytest.approx([0.6, *(0.6 * np.array(staged.RAISES))])


def test_noise_that_moves_points_as_far_as_estimated_is_asked_once_more():
    """Unless it has no tails at all."""
    assert staged.is_bounded(lengths(20_000, "short"), 50_000)
    asked = {tails: told_levels(50_000, 0.6, 1.2, tails)[0] for tails in ("short", "none")}
    assert asked["short"] == pytest.approx([0.6, 0.6 * 1.07])
    assert asked["none"] == pytest.approx([0.6, *(0.6 * np.array(staged.RAISES)), 0.6 * 1.07])


def test_in_large_clouds_patches_are_asked_how_far_points_move(model, cloud, by_moves, monkeypatch):
    by_moves(*[[[0.0, 10.0], [0.0, 10.0]]] * 2)  # told as far as they move

    def told(patch_points):
        monkeypatch.setattr(staged, "PATCHES", 2)
        monkeypatch.setattr(staged, "PATCH_POINTS", patch_points)
        levels, told = [], []
        original = LearnedDenoiser.ask

        def stage(self, stage, graphs, sigma, *rest):
            levels.append((graphs.count, float(sigma[0])))
            return original(self, stage, graphs, sigma, *rest)

        monkeypatch.setattr(LearnedDenoiser, "ask", stage)
        LearnedDenoiser(model, relaxation=0.0)(cloud, np.full(len(cloud), 0.4), 1, told.append)
        monkeypatch.setattr(LearnedDenoiser, "ask", original)
        assert told == sorted(told)
        return levels

    n, whole = len(cloud), told(len(cloud))
    assert [count for count, _ in whole] == [n, n]
    asked = told(n // 3)
    assert [count for count, _ in asked] == [n // 3, n // 3, n]
    assert asked[-1][1] == pytest.approx(whole[-1][1], rel=0.1)
    assert asked[-1][1] != pytest.approx(0.4, rel=0.1)


def test_a_cloud_that_is_asked_again_is_searched_once(model, cloud, by_moves, monkeypatch):
    by_moves(*[[[0.0, 10.0], [0.0, 10.0]]] * 2)
    searched, tiling, asked = [], LearnedDenoiser._tiling, staged.TiledGraphs.run

    def counted(self, features, points):
        searched.append(len(points))
        return tiling(self, features, points)

    def forgetful(self, *rest):
        self._whole = None
        asked(self, *rest)

    def denoised():
        return LearnedDenoiser(model, relaxation=0.0)(cloud, np.full(len(cloud), 0.4), 1)

    monkeypatch.setattr(LearnedDenoiser, "_tiling", counted)
    once = denoised()
    assert searched == [len(cloud)]
    monkeypatch.setattr(staged.TiledGraphs, "run", forgetful)
    assert np.array_equal(denoised(), once)


def test_where_memory_runs_out_the_second_time_tiles_are_halved():
    points = np.random.default_rng(0).random((3000, 3))
    graphs = staged.TiledGraphs(3000, Tiling(points, 8, 1, 5000), lambda tile: None)
    sizes = []

    def evaluate(limit):
        def evaluated(tile, graph):
            if len(tile.rows) > limit:
                raise MemoryError
            sizes.append(len(tile.rows))
            return (points[tile.rows, 0],)

        return evaluated

    for limit in (3000, 2000):
        out = np.zeros(3000)
        graphs.run(evaluate(limit), (out,), lambda done: None)
        np.testing.assert_array_equal(out, points[:, 0])
    assert sizes == [3000, 1500, 1500]


@pytest.mark.parametrize("half_turn", [False, True])
def test_polishing_in_tiles_is_that_in_training(model, cloud, half_turn):
    """The stages one after another, spread before the last, and once more at its end within its share of the noise."""
    polishing = StagedDenoiser(**SHAPE, blocks=(2, 2), polish=0.25).eval()
    polishing.load_state_dict(model.state_dict())
    patches = patches_of(cloud, 0.5)
    unit = np.full(len(cloud), 0.5)
    turns = [[1, 1, 1], [1, -1, -1]] if half_turn else [[1, 1, 1]]

    def polished(x, received):
        moves = []
        for signs in torch.tensor(turns, dtype=torch.float64):
            field = StageField(polishing.stages[1], patches.noisy * signs, received, share=0.25)
            moves.append(0.5**2 * field(x * signs, patches.estimate) * signs)
        return x + torch.stack(moves).mean(dim=0)

    with torch.no_grad():
        (_, first, _), (x, _, _) = [(x, field, field(x, patches.estimate)) for x, field in polishing.fields(patches)]
        reached = polished(x, first.handed_on).numpy()
        spread = torch.from_numpy(relax_tangentially(reached, RELAXATION * 0.25 * unit))
        again = polished(spread, first.handed_on).numpy()
    denoiser = LearnedDenoiser(polishing, tile=1500, walls=False, half_turn=half_turn)
    assert denoiser.passes == 3
    for passes, wanted in ((2, reached), (3, again)):
        moved = denoiser(cloud, unit, passes)
        last = relax_tangentially(wanted, RELAXATION * 0.25 * unit * 0.5 / staged.SPREAD_WHOLLY)
        np.testing.assert_allclose(moved, last, atol=1e-4)
    leading = LearnedDenoiser(polishing)(cloud, unit, 1)
    np.testing.assert_array_equal(leading, LearnedDenoiser(model)(cloud, unit, 1))


@pytest.mark.parametrize("wider", [{}, {"hops": 1, "noisy_moments": True}])
def test_polishing_in_subsets_is_that_in_training(cloud, wider, monkeypatch):
    monkeypatch.setattr(StagePlan, "FULL_SUBSET", 500)
    monkeypatch.setattr(staged, "TOLD_SPARSE", 1.0)
    points, told = cloud[:2000] / spacing(cloud[:2000]), 0.9
    torch.manual_seed(0)
    polishing = StagedDenoiser(
        **SHAPE, **wider, blocks=(1, 1, 1), polish=0.25, polishes=2, subset_sigma=told / 2**0.5, polish_subsets=1.5
    ).eval()
    for stage in polishing.stages:
        torch.nn.init.normal_(stage.head.weight, std=0.03)
    with torch.no_grad():
        wanted = points
        for x, field in polishing.fields(patches_of(points, told)):
            wanted = (x + told**2 * field(x, torch.full((2000, 1), told))).numpy()
    wanted = relax_tangentially(wanted, np.full(2000, RELAXATION * 0.25 * told))
    for tile in (200_000, 1100):
        denoiser = LearnedDenoiser(polishing, tile=tile, walls=False, half_turn=False)
        assert denoiser.passes == 3
        found = denoiser(points, np.full(2000, told), 3)
        assert np.linalg.norm(found - wanted) < 1e-3 * np.linalg.norm(wanted - points)


def test_tiles_of_a_device_give_the_same(cloud, monkeypatch):
    """On CPU tensors, which nothing but the device tells from those of a GPU."""
    torch.manual_seed(0)
    model = StagedDenoiser(**SHAPE, blocks=(1, 1), hops=1, noisy_moments=True).eval()
    for stage in model.stages:
        nn.init.normal_(stage.head.weight, std=0.1)
    wanted = run(model, cloud)

    def tiling(self, features, points):
        there = torch.from_numpy(points)
        return DeviceTiling(there, features.neighbours, features.layers, self.tile, features.neighbourhoods)

    monkeypatch.setattr(LearnedDenoiser, "_tiling", tiling)
    np.testing.assert_allclose(run(model, cloud, tile=1500), wanted, atol=1e-4)


def test_neighbouring_fields_are_averaged(networks, cloud):
    """Each point follows the mean of the fields of the noisy points nearest to it, itself among them."""
    network, points = networks["conditional"], cloud[:2000]
    x, sigma = torch.from_numpy(points + 0.01), torch.full((2000, 1), 0.5, dtype=torch.float64)
    found = LearnedDenoiser(network, ensemble=3).field(torch.from_numpy(points), sigma)(x, sigma)
    with torch.no_grad():
        _, field = next(network.fields(patches_of(points, 0.5)))
        nearest = torch.from_numpy(knn(points, 3, x.numpy())[1]).long()
        offsets = (x[:, None] - torch.from_numpy(points)[nearest]).float()
        level = sigma.float()
        wanted = torch.stack([field.at(nearest[:, j], offsets[:, j, None], level)[:, 0] for j in range(3)]).mean(dim=0)
    torch.testing.assert_close(found.float(), wanted, rtol=1e-3, atol=1e-4)


def test_a_sampler_sees_the_whole_cloud(networks, cloud):
    """What is drawn does not depend on the tiles, and the seed decides it."""

    @dataclass(frozen=True)
    class Jitter:
        needs = frozenset()
        evaluations = 2

        def __call__(self, field, x, sigma, generator=None):
            for _ in range(2):
                noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
                x = x + sigma**2 * field(x, sigma) + 0.1 * noise
                yield x

    def run(seed, tile):
        return LearnedDenoiser(networks["staged"], sampler=Jitter(), tile=tile)(
            cloud, np.full(len(cloud), 0.5), 2, seed=seed
        )

    whole = run(0, 200_000)
    np.testing.assert_allclose(run(0, 1500), whole, atol=1e-4)
    assert np.abs(run(1, 200_000) - whole).max() > 0.05


def test_iterates_end_with_the_result(model, cloud):
    seen = []
    result = LearnedDenoiser(model, sampler=Ascent(steps=3, step=0.5))(
        cloud, np.full(len(cloud), 0.5), 2, iterate=seen.append
    )
    assert len(seen) == 4  # three steps, and the spreading along the surface
    np.testing.assert_array_equal(seen[-1], result)


def test_one_full_step_of_ascent_reaches_the_denoised_cloud(model, cloud):
    """Tweedie, in any unit."""
    noisy, sigma = torch.from_numpy(1000 * cloud + 5.0), torch.full((len(cloud), 1), 500.0, dtype=torch.float64)
    denoiser = LearnedDenoiser(model, relaxation=0.0, walls=False)
    frame = Frame.of(noisy.numpy())
    wanted = denoiser(frame.to_local(noisy.numpy()), np.full(len(cloud), 500.0 / frame.scale), 2)
    (reached,) = Ascent()(denoiser.field(noisy, sigma), noisy, sigma)
    np.testing.assert_allclose(frame.to_local(reached.numpy()), wanted, atol=1e-6)


@pytest.mark.parametrize(("n", "least", "most"), [(100, 0.9, 1.0), (20_000, 0.9, 1.0), (100_000, 1.0, 1.0)])
@pytest.mark.parametrize("estimate", [0.2, 1.0, 1.3, 5.0])
def test_what_is_told_gives_the_estimate_away(estimate, n, least, most):
    told = staged.told_sigma(estimate, n)
    assert told.shape == (n,)
    assert least * estimate <= told[0] + 1e-12 <= most * estimate + 2e-12
    assert staged.estimate_behind(told[0], n) == pytest.approx(estimate, rel=1e-9)
