import csv
import json
import math

import numpy as np
import pytest
import torch

from pcdenoise.checkpoint import load_checkpoint
from pcdenoise.config import compose
from pcdenoise.errors import ModelError, UsageError
from pcdenoise.losses.paired_dsm import PairedDSM
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.training.loop import DivergedError, Trainer
from pcdenoise.training.patches import CleanCloud, PatchSampler
from pcdenoise.training.session import BEST, LAST, Listener, train
from pcdenoise.training.state import TrainingState

SMALL = {"channels": 16, "blocks": (1, 1), "neighbours": 12, "neighbourhoods": (4, 12), "handed_on": 8}
WORDS = [
    "dataset.count=3", "dataset.resolutions=[2000]", "holdout=1", "network.channels=16", "network.blocks=[1,1]",
    "network.neighbours=12", "network.neighbourhoods=[4,12]", "patches.points=256", "patches.patches=2",
    "validation.resolution=2000", "validation.levels=[0.03]", "device=cpu", "log_every=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def cloud(sphere):
    return CleanCloud(sphere, sphere)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(cache, output, *words):
    config = compose("train", [*WORDS, f"dataset.cache_dir={cache}", f"output={output}", *words])
    return train(config)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_batch_depends_on_seed_and_step_alone(cloud):
    sampler = PatchSampler(points=200, patches=2)
    a, b, c = sampler.batch([cloud], 3), sampler.batch([cloud], 3), sampler.batch([cloud], 4)
    np.testing.assert_array_equal(a.noisy, b.noisy)
    assert not np.array_equal(a.noisy, c.noisy)
    assert a.noisy.shape == (400, 3)
    assert len(a.core) == 240


def test_the_noise_of_a_batch_is_what_it_says(cloud):
    sampler = PatchSampler(points=1500, patches=8, sigma=(0.01, 0.03), faint=0.0)
    batch = sampler.batch([cloud], 0)
    # points near a patch's centre are chosen by their noisy position, which biases only the rim
    relative = ((batch.noisy - batch.clean) / batch.sigma)[batch.core]
    assert relative.std() == pytest.approx(1, abs=0.02)
    assert 0.01 <= batch.sigma.min() <= batch.sigma.max() <= 0.03
    np.testing.assert_allclose(np.linalg.norm(batch.normals, axis=1), 1, rtol=1e-6)


def test_it_overfits_one_patch(cloud):
    class OnePatch(PatchSampler):
        def batch(self, clouds, step):
            return super().batch(clouds, 0)

    torch.manual_seed(0)
    model = StagedDenoiser(**SMALL)
    state = TrainingState(model, 3e-3, 0.0)
    trainer = Trainer(max_steps=150, learning_rate=3e-3, warmup=5)
    sampler = OnePatch(points=200, patches=1, core=1.0, sigma=(0.03, 0.031), faint=0.0)
    losses = [p.stage_losses for p in trainer.run(state, PairedDSM(), sampler, [cloud])]
    # doing nothing costs about 1 + surface_weight = 4 parts of sigma^2
    assert losses[0][0] > 2.5
    assert np.mean([value[1] for value in losses[-10:]]) < 0.5


def test_a_loss_that_is_not_finite_stops_with_the_step(cloud):
    state = TrainingState(StagedDenoiser(**SMALL), 1e-3, 0.0)
    trainer = Trainer(max_steps=10)
    sampler = PatchSampler(points=200, patches=1)
    steps = trainer.run(state, PairedDSM(), sampler, [cloud])
    next(steps)
    next(steps)
    with torch.no_grad():
        next(state.model.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match="step 2"):
        next(steps)


def test_learning_rate_is_constant_then_falls_to_zero():
    trainer = Trainer(max_steps=1000, learning_rate=1.0, warmup=10, decay=0.2)
    assert trainer.rate(0) == pytest.approx(0.1)
    assert trainer.rate(10) == trainer.rate(799) == 1.0
    assert trainer.rate(900) == pytest.approx(0.5)
    assert trainer.rate(999) == pytest.approx(0.005)


def test_resuming_gives_the_bits_of_an_uninterrupted_run(cache, tmp_path):
    words = ["validation.every=4", "checkpoint_every=2"]
    run(cache, tmp_path / "whole", "trainer.max_steps=6", *words)

    class Killed(Exception):
        pass

    def kill(progress, of):
        if progress.step == 5:
            raise Killed

    config = compose(
        "train", [*WORDS, f"dataset.cache_dir={cache}", f"output={tmp_path / 'cut'}", "trainer.max_steps=6", *words]
    )
    with pytest.raises(Killed):
        train(config, Listener(step=kill))
    assert load_checkpoint(tmp_path / "cut" / LAST)[1]["step"] == 4
    run(cache, tmp_path / "cut", "trainer.max_steps=6", "resume=auto", *words)
    whole, cut = (load_checkpoint(tmp_path / name / LAST)[0] for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    losses = [[row["loss"] for row in rows(tmp_path / name / "steps.csv")] for name in ("whole", "cut")]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


def test_a_run_leaves_logs_weights_and_provenance(cache, tmp_path):
    best = run(cache, tmp_path / "run", "trainer.max_steps=4", "validation.every=2", "checkpoint_every=2")
    assert best == tmp_path / "run" / BEST
    tensors, header = load_checkpoint(best)
    assert header["network"]["channels"] == 16
    assert not any(name.startswith("optimizer") for name in tensors)
    provenance = json.loads(best.with_suffix(".json").read_text())
    assert provenance == header["provenance"]
    assert provenance["steps"] in (2, 4)
    assert len(provenance["shapes"]) == 2
    figures = rows(tmp_path / "run" / "validation.csv")
    assert [row["step"] for row in figures] == ["2", "4"]
    assert {"cd_0.03", "p2m_0.03", "score"} <= figures[0].keys()
    assert provenance["validation"]["score"] == min(float(row["score"]) for row in figures)
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_mistakes_are_refused(cache, tmp_path):
    run(cache, tmp_path / "run", "trainer.max_steps=1")
    with pytest.raises(UsageError, match="already holds a run"):
        run(cache, tmp_path / "run", "trainer.max_steps=2")
    with pytest.raises(ModelError, match="another architecture"):
        run(cache, tmp_path / "run", "trainer.max_steps=2", "resume=auto", "network.channels=8")
    with pytest.raises(ModelError, match="no training state"):
        run(cache, tmp_path / "x", f"resume={tmp_path / 'run' / BEST}")
    with pytest.raises(UsageError, match="holdout=3"):
        run(cache, tmp_path / "y", "holdout=3")
