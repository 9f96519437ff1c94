import numpy as np
import pytest
import torch
from torch import nn

from pcdenoise.denoisers.patchwise import EnsembleField, Patches, PatchwiseDenoiser
from pcdenoise.geometry.neighbours import knn
from pcdenoise.networks.compat.luo_hu import LuoHu
from pcdenoise.samplers.ascent import Ascent


@pytest.fixture(scope="module")
def model():
    """Small, with weights that make every layer count."""
    torch.manual_seed(0)
    model = LuoHu(convolutions=2, width=8, growth=4, neighbours=6, hidden=16, blocks=2)
    for block in model.head.blocks:
        nn.init.normal_(block.second.weight, std=0.3)
    model.head.leave.weight.data *= 0.02
    model.head.leave.bias.data *= 0.02
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def cloud():
    rng = np.random.default_rng(0)
    plane = rng.random((3000, 3)) * [55, 55, 0]
    return plane + 0.5 * rng.standard_normal(plane.shape)


def run(model, cloud, **options):
    options = {"patch": 300, "sampler": Ascent(steps=5, step=0.2, decay=0.95), "relaxation": 0.0, **options}
    return PatchwiseDenoiser(model, **options)(cloud, np.full(len(cloud), 0.5), 1)


@pytest.mark.parametrize("overlap", [0.3, 3.0])
def test_every_point_is_in_the_patch_of_the_seed_nearest_to_it(cloud, overlap):
    cluster = 1e-3 * np.random.default_rng(1).standard_normal((500, 3))  # a patch of 300 cannot hold it
    points = np.concatenate([cloud, cluster, [[500.0, 0.0, 0.0]]])
    patches = Patches.cover(points, 300, overlap)
    np.testing.assert_array_equal(np.sort(patches.rows[patches.own]), np.arange(len(points)))
    seeds = points[patches.rows[:, 0]]
    for patch in range(len(seeds)):
        mine = points[patches.rows[patch][patches.own[patch]]]
        nearest = np.linalg.norm(mine[:, None] - seeds, axis=2).argmin(axis=1)
        assert (nearest == patch).all()


def test_a_small_cloud_is_one_patch(cloud):
    patches = Patches.cover(cloud[:200], 300, 3.0)
    assert patches.rows.shape == (1, 200)
    assert patches.own.all()


def test_the_batch_does_not_change_the_result(model, cloud):
    whole = run(model, cloud)
    assert np.abs(whole - cloud).max() > 0.1
    for batch in (1, 7):
        np.testing.assert_allclose(run(model, cloud, batch=batch), whole, atol=1e-5)


def test_the_same_bits_every_time_and_at_any_thread_count(model, cloud):
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            results.append(run(model, cloud))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(results[1], results[2])
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


def test_order_does_not_matter(model, cloud):
    order = np.random.default_rng(1).permutation(len(cloud))
    np.testing.assert_allclose(run(model, cloud[order]), run(model, cloud)[order], atol=1e-4)


def test_where_the_cloud_lies_does_not_matter(model, cloud):
    np.testing.assert_allclose(run(model, cloud + 64.0) - 64.0, run(model, cloud), atol=1e-4)


def test_passes_are_repetitions(model, cloud):
    sigma = np.full(len(cloud), 0.5)
    denoiser = PatchwiseDenoiser(model, sampler=Ascent(steps=2, step=0.2), passes=2, patch=300, relaxation=0.0)
    once = denoiser(cloud, sigma, 1)
    np.testing.assert_array_equal(denoiser(cloud, sigma, 2), denoiser(once, sigma, 1))


def test_progress_and_iterates(model, cloud):
    told, iterates = [], []
    denoiser = PatchwiseDenoiser(model, sampler=Ascent(steps=3, step=0.2), patch=300)
    result = denoiser(cloud, np.full(len(cloud), 0.5), 1, told.append, iterate=iterates.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(iterates) == 4  # the steps, and the spreading
    np.testing.assert_array_equal(iterates[-1], result)


def test_points_are_spread_evenly_at_the_end(model, cloud):
    plain, spread = run(model, cloud), run(model, cloud, relaxation=0.75)
    nearest = [knn(points, 2)[0][:, 1] for points in (plain, spread)]
    assert np.std(nearest[1]) < 0.8 * np.std(nearest[0])
    assert np.linalg.norm(spread - plain, axis=1).max() <= 0.75 * 0.5 + 1e-9


class Offset(nn.Module):
    """A local field that draws everything to its centre, or pushes it along x; known in closed form."""

    def __init__(self, centre):
        super().__init__()
        self.centre = centre

    def forward(self, features, offsets):
        return -offsets if self.centre else torch.ones_like(offsets) * features[:, None]


def test_fields_act_on_the_points_nearest_to_their_centres():
    """On a line of points one apart, the 3 nearest of an inner centre are itself and its two neighbours."""
    x = torch.arange(8.0, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    sigma = torch.full((8, 1), 2.0, dtype=torch.float64)
    counts = EnsembleField(Offset(False), x.numpy(), torch.ones(8, 1), 3, 0.5)(x, sigma) * 4 * 0.5
    np.testing.assert_allclose(counts[:, 0], [2, 3, 4, 3, 3, 4, 3, 2])
    drawn = EnsembleField(Offset(True), x.numpy(), torch.ones(8, 1), 3, 0.5)(x, sigma) * 4
    # inner points are drawn to both sides; the ends by what their own field and its second neighbour give
    np.testing.assert_allclose(drawn[:, 0], [1, 0, -2, 0, 0, 2, 0, -1], atol=1e-12)


def test_the_field_is_in_the_unit_of_the_cloud(model, cloud):
    """`sigma^2 score` is a displacement: it grows with the unit, and one step along it is the denoiser's."""
    points = torch.from_numpy(cloud)
    denoiser = PatchwiseDenoiser(model, sampler=Ascent(steps=1, step=0.2), patch=300)
    sigma = torch.full((len(cloud), 1), 0.5, dtype=torch.float64)
    (reached,) = denoiser.sampler(denoiser.field(points, sigma), points, sigma)
    moved = (reached - points).numpy()
    large = 1000 * points + 5.0
    (reached,) = denoiser.sampler(denoiser.field(large, 1000 * sigma), large, 1000 * sigma)
    np.testing.assert_allclose((reached - large).numpy() / 1000, moved, atol=1e-5)
    assert np.abs(moved).max() > 0.01


def test_a_point_without_an_answer_keeps_its_place(model, cloud, monkeypatch):
    original = EnsembleField.__call__

    def poisoned(self, x, sigma):
        score = original(self, x, sigma)
        score[5] = torch.nan
        return score

    monkeypatch.setattr(EnsembleField, "__call__", poisoned)
    result = run(model, cloud, sampler=Ascent(steps=1, step=0.2))
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(result[5], cloud[5])
