import numpy as np
import pytest
import torch
from torch import nn

from pcdenoise.denoisers import learned
from pcdenoise.denoisers.learned import LearnedDenoiser
from pcdenoise.errors import OutOfMemoryError
from pcdenoise.geometry.frame import Frame
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.samplers.ascent import Ascent


@pytest.fixture(scope="module")
def model():
    """Small, with weights that make every layer count."""
    torch.manual_seed(0)
    model = StagedDenoiser(channels=16, blocks=(2, 2), neighbours=12, neighbourhoods=(4, 12), handed_on=8)
    for stage in model.stages:
        nn.init.normal_(stage.head.weight, std=0.1)
        for block in stage.blocks:
            nn.init.normal_(block.reduce.weight, std=0.1)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def cloud():
    rng = np.random.default_rng(0)
    plane = rng.random((5000, 3)) * [70, 70, 0]
    return plane + 0.5 * rng.standard_normal(plane.shape)


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


def test_progress_reaches_one(model, cloud):
    told = []
    LearnedDenoiser(model, tile=1500)(cloud, np.full(len(cloud), 0.5), 2, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == 9


def test_a_tile_that_does_not_fit_is_halved(model, cloud, monkeypatch):
    wanted = run(model, cloud)
    original, refused = LearnedDenoiser._tile, []

    def tight(self, *arguments):
        rows = arguments[5]
        if len(rows) > 2000:
            refused.append(len(rows))
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return original(self, *arguments)

    monkeypatch.setattr(LearnedDenoiser, "_tile", tight)
    np.testing.assert_allclose(run(model, cloud), wanted, atol=1e-5)
    assert refused


def test_no_memory_at_all_is_said(model, cloud, monkeypatch):
    def never(self, *arguments):
        raise MemoryError

    monkeypatch.setattr(LearnedDenoiser, "_tile", never)
    with pytest.raises(OutOfMemoryError, match="not even a tile"):
        run(model, cloud)


def test_other_errors_are_not_taken_for_memory(model, cloud, monkeypatch):
    def broken(self, *arguments):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(LearnedDenoiser, "_tile", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        run(model, cloud)


def test_a_point_without_an_answer_keeps_its_place(model, cloud, monkeypatch):
    original = LearnedDenoiser._tile

    def poisoned(self, *arguments):
        move, features = original(self, *arguments)
        move = move.copy()
        move[0] = np.nan
        return move, features

    monkeypatch.setattr(LearnedDenoiser, "_tile", poisoned)
    result = LearnedDenoiser(model, relaxation=0.0)(cloud, np.full(len(cloud), 0.5), 1)
    assert np.isfinite(result).all()
    assert (result == cloud).all(axis=1).sum() == 1


def test_the_field_is_a_score_of_the_cloud(model, cloud):
    """Tweedie: one full step of ascent on the field reaches the denoised cloud, in any unit."""
    noisy, sigma = torch.from_numpy(1000 * cloud + 5.0), torch.full((len(cloud), 1), 500.0, dtype=torch.float64)
    denoiser = LearnedDenoiser(model)
    frame = Frame.of(noisy.numpy())
    wanted = denoiser(frame.to_local(noisy.numpy()), np.full(len(cloud), 500.0 / frame.scale), 2)
    (reached,) = Ascent()(denoiser.field(noisy), noisy, sigma)
    np.testing.assert_allclose(frame.to_local(reached.numpy()), wanted, atol=1e-6)
    assert torch.isfinite(denoiser.field(noisy)(noisy, sigma)).all()


def test_smallest_tile_is_worth_running():
    assert learned.SMALLEST_TILE >= 1024
