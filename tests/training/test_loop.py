import math

import numpy as np
import pytest
import torch

from pcdenoise.errors import UsageError
from pcdenoise.losses.mdsm import MDSM
from pcdenoise.losses.paired_dsm import PairedDSM
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.networks.energy import EnergyNetwork
from pcdenoise.training.loop import DivergedError, Trainer
from pcdenoise.training.patches import PatchSampler
from pcdenoise.training.state import TrainingState

GRAPH = {"channels": 16, "neighbours": 12, "neighbourhoods": (4, 12)}


def fresh(build=lambda: StagedDenoiser(**GRAPH, blocks=(1, 1), handed_on=8)):
    torch.manual_seed(0)
    return TrainingState(build(), 1e-3, 0.0)


def test_it_overfits_one_patch(cloud):
    class OnePatch(PatchSampler):
        def batch(self, clouds, step, numbers):
            return super().batch(clouds, 0, numbers)

    trainer = Trainer(max_steps=120, learning_rate=3e-3, warmup=5)
    sampler = OnePatch(points=200, patches=1, core=1.0, sigma=(0.03, 0.031), faint=0.0)
    losses = [p.stage_losses for p in trainer.run(fresh(), PairedDSM(), sampler, [cloud])]
    # doing nothing costs about 1 + surface_weight = 4 parts of sigma^2
    assert losses[0][0] > 2.5
    assert np.mean([value[1] for value in losses[-10:]]) < 0.5


def test_a_loss_that_is_not_finite_stops_with_step_and_patches(cloud):
    state, sampler = fresh(), PatchSampler(points=200, patches=2, seed=5)
    steps = Trainer(max_steps=10).run(state, PairedDSM(), sampler, [cloud])
    next(steps)
    next(steps)
    with torch.no_grad():
        next(state.model.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match="nan at step 3, batch 2 of seed 5: sphere around row") as caught:
        next(steps)
    for number in range(2):
        assert sampler.describe([cloud], 2, number) in str(caught.value)
    assert "lower trainer.learning_rate" in str(caught.value)
    assert state.step == 2


def test_a_stage_of_no_weight_stays_as_it_is(cloud):
    state = fresh()
    before = [{name: value.clone() for name, value in stage.state_dict().items()} for stage in state.model.stages]
    trainer, sampler = Trainer(max_steps=3, stage_weights=(0.0, 1.0)), PatchSampler(points=200, patches=1)
    assert all(progress.stage_losses[0] > 0 for progress in trainer.run(state, PairedDSM(), sampler, [cloud]))
    kept = [
        all(torch.equal(value, was[name]) for name, value in stage.state_dict().items())
        for stage, was in zip(state.model.stages, before, strict=True)
    ]
    assert kept == [True, False]


def test_learning_rate_is_constant_then_falls_to_zero():
    trainer = Trainer(max_steps=1000, learning_rate=1.0, warmup=10, decay=0.2)
    assert trainer.rate(0) == pytest.approx(0.1)
    assert trainer.rate(10) == trainer.rate(799) == 1.0
    assert trainer.rate(900) == pytest.approx(0.5)
    assert trainer.rate(999) == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("build", "loss"),
    [(StagedDenoiser, PairedDSM()), (EnergyNetwork, MDSM())],
    ids=["paired_dsm", "mdsm"],
)
def test_two_pieces_give_the_gradients_of_the_whole(cloud, build, loss):
    gradients, progress = [], []
    for accumulate in (1, 2):
        state = fresh(lambda: build(**GRAPH, blocks=(1, 1) if build is StagedDenoiser else 1))
        sampler = PatchSampler(points=200, patches=4 // accumulate, levels=loss.levels)
        trainer = Trainer(max_steps=1, accumulate=accumulate, clip=1e9)
        progress += trainer.run(state, loss, sampler, [cloud])
        gradients.append([p.grad for p in state.model.parameters()])
    assert progress[0].loss == pytest.approx(progress[1].loss, rel=1e-5)
    assert progress[0].stage_losses == pytest.approx(progress[1].stage_losses, rel=1e-5)
    for whole, summed in zip(*gradients, strict=True):
        if whole is not None:
            torch.testing.assert_close(summed, whole, rtol=1e-3, atol=1e-5 * whole.abs().max().item())


def test_gradients_are_clipped(cloud):
    state = fresh()
    next(Trainer(max_steps=1, clip=1e-3).run(state, PairedDSM(), PatchSampler(points=200, patches=1), [cloud]))
    norm = torch.stack([p.grad.norm() for p in state.model.parameters() if p.grad is not None]).norm()
    assert norm == pytest.approx(1e-3, rel=1e-3)


class Draws(PairedDSM):
    """Keeps what it drew."""

    drawn: list[float]

    def __call__(self, field, x, patches, generator):
        self.drawn.append(torch.rand((), generator=generator).item())
        return super().__call__(field, x, patches, generator)


def test_what_a_loss_draws_depends_on_seed_step_and_piece_alone(cloud):
    def drawn(seed, first=0):
        loss = Draws()
        object.__setattr__(loss, "drawn", [])
        state = fresh(lambda: StagedDenoiser(**GRAPH, blocks=(1,)))
        state.step = first
        sampler = PatchSampler(points=100, patches=1, seed=seed)
        list(Trainer(max_steps=3, accumulate=2).run(state, loss, sampler, [cloud]))
        return loss.drawn

    assert len(set(drawn(0))) == 6
    assert drawn(0, first=1) == drawn(0)[2:]
    assert not set(drawn(0)) & set(drawn(1))


@pytest.mark.parametrize("changed", [{"memory": "low"}, {"workers": 3}])
def test_memory_and_workers_do_not_change_a_bit(cloud, changed):
    weights = []
    for options in ({}, changed):
        state = fresh()
        list(Trainer(max_steps=3, warmup=1, **options).run(state, PairedDSM(), PatchSampler(points=200), [cloud]))
        weights.append(state.average.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_first_step_measures_its_memory(cloud):
    steps = list(Trainer(max_steps=3).run(fresh(), PairedDSM(), PatchSampler(points=200, patches=2), [cloud]))
    assert steps[0].memory > 16 * 4 * 200  # at least the features of a patch
    assert steps[1].memory is steps[2].memory is None
    assert all(0 <= step.waited <= step.seconds for step in steps)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_steps": 0}, "trainer.max_steps"),
        ({"accumulate": 0}, "trainer.accumulate"),
        ({"workers": 0}, "trainer.workers"),
        ({"clip": 0.0}, "trainer.clip"),
        ({"learning_rate": -1.0}, "trainer.learning_rate"),
        ({"precision": "float16"}, "one of auto, float32, bfloat16"),
        ({"memory": "high"}, "one of normal, low"),
        ({"optimizer": "sgd"}, "one of adamw, muon"),
        ({"stage_weights": ()}, "trainer.stage_weights"),
    ],
)
def test_values_out_of_range_are_refused(values, words):
    with pytest.raises(UsageError, match=words):
        Trainer(**values)


def test_what_device_and_network_do_not_have_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    with pytest.raises(UsageError, match="precision=bfloat16 gains nothing on this device, cpu"):
        Trainer(precision="bfloat16").check_fits(fresh().model, torch.device("cpu"))
    with pytest.raises(UsageError, match=r"Linear does not have; use trainer\.memory=normal"):
        Trainer(memory="low").check_fits(torch.nn.Linear(3, 3), torch.device("cpu"))
