"""What does not go together is refused before any data is read: there is none."""

import pytest
import torch

from pcdenoise.config import compose
from pcdenoise.errors import UsageError
from pcdenoise.training.recipe import Recipe

NOWHERE = ["dataset=folder", "dataset.root=nowhere"]


def recipe(*words, processes=1):
    return Recipe.of(compose("train", [*NOWHERE, *words]), torch.device("cpu"), processes)


def test_parts_that_go_together():
    made = recipe("loss=ncsn", "sampler=annealed_langevin")
    assert made.patches.levels == made.loss.levels
    assert len(made.patches.levels) > 2
    assert made.validation_dataset is None


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["loss=mdsm"], "MDSM does not go with StagedDenoiser: .* network=energy"),
        (["network=energy", "loss=ncsn"], "NCSN does not go with EnergyNetwork: .* network=edgeconv"),
        (["sampler=tempered_langevin"], "TemperedLangevin does not go with StagedDenoiser: .* network=energy"),
        (["loss=ncsn", "network.conditioning=none"], "NCSN does not go with StagedDenoiser: .* told the noise level"),
        (["trainer.precision=float64"], "one of auto, float32, bfloat16"),
        (["trainer.memory=tiny"], "one of normal, low"),
        (["trainer.accumulate=0"], "trainer.accumulate is 0"),
        (["patches.points=32"], "too few for 32 neighbours"),
        (["validation.resolution=1234"], r"none of the resolutions of the data set, \[10000, 30000, 50000\]"),
        (["validation.resolution=100"], "give at least 128 points"),
        (["validation.levels=[]"], "at least one level"),
        (["validation.every=0"], "validation.every is 0"),
        (["log_every=0"], "log_every is 0"),
        (["checkpoint_every=0"], "checkpoint_every is 0"),
    ],
)
def test_parts_that_do_not(words, facts):
    with pytest.raises(UsageError, match=facts):
        recipe(*words)


def test_patches_are_shared_evenly():
    assert recipe("patches.patches=4", processes=2).patches.patches == 4
    with pytest.raises(UsageError, match=r"patches\.patches=4 cannot be shared by 3 processes; give a multiple of 3"):
        recipe("patches.patches=4", processes=3)
