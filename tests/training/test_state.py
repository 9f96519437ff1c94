import copy

import pytest
import torch
from torch import nn

from pcdenoise.config import compose, instantiate
from pcdenoise.errors import ModelError
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.training.state import TrainingState


class Normalising(ScoreNetwork):
    def __init__(self, width=3):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(2))
        self.linear, self.norm = nn.Linear(width, width), nn.BatchNorm1d(width)

    def fields(self, patches):
        raise NotImplementedError


def stepped(state):
    state.zero_grad()
    state.model.norm(state.model.linear(torch.randn(20, state.model.linear.in_features))).square().sum().backward()
    state.move(0.1)
    state.update_average(0.9)


def test_the_average_follows_the_weights_and_takes_the_buffers():
    torch.manual_seed(0)
    state = TrainingState(Normalising(), 0.1, 0.0)
    before = state.model.linear.weight.clone()
    stepped(state)
    expected = 0.9 * before + 0.1 * state.model.linear.weight
    torch.testing.assert_close(state.average.linear.weight, expected)
    for mine, theirs in zip(state.average.buffers(), state.model.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    assert state.average.norm.num_batches_tracked == 1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_checkpoint_holds_everything(tmp_path, optimizer):
    """Buffers too, and a parameter that has no state in the optimiser because it never had a gradient."""
    torch.manual_seed(0)
    first, second = (TrainingState(Normalising(20), 0.1, 0.0, optimizer) for _ in range(2))
    stepped(first)
    network = {"_target_": "a.Normalising"}
    first.save(tmp_path / "last.safetensors", {"network": network})
    second.load(tmp_path / "last.safetensors", network)
    for state in (first, second):
        torch.manual_seed(1)
        stepped(state)
    for part in ("model", "average"):
        mine, theirs = getattr(first, part).state_dict(), getattr(second, part).state_dict()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert second.step == 2


def test_muon_makes_steps_of_hidden_matrices_orthogonal():
    """All singular values of a step are about 0.2 lr sqrt(larger side), whatever those of the gradient; the rest is
    AdamW's, whose first step is lr long in each number."""
    torch.manual_seed(0)
    network = compose("train", ["network.blocks=[1]"])["network"]
    state = TrainingState(instantiate(network), 0.1, 0.0, "muon")
    before = copy.deepcopy(state.model)
    for parameter in state.model.parameters():
        parameter.grad = torch.randn_like(parameter) * (0.01 + torch.rand(parameter.shape[-1])) ** 2
    state.move(0.01)
    for (name, old), new in zip(before.named_parameters(), state.model.parameters(), strict=True):
        step = (new - old).detach()
        if old.ndim == 2 and min(old.shape) >= 16 and not name.endswith("head.weight"):
            lengths = torch.linalg.svdvals(step) / (0.002 * max(old.shape) ** 0.5)
            assert 0.3 < lengths.median() < 1.3
            assert lengths.max() < 1.3
        else:
            torch.testing.assert_close(step.abs(), torch.full_like(step, 0.01), rtol=1e-2, atol=0)


def test_a_checkpoint_of_another_architecture_names_both(tmp_path):
    def state(*words):
        config = compose("train", list(words))["network"]
        return TrainingState(instantiate(config), 0.1, 0.0), config

    small = ("network.channels=16", "network.neighbours=12", "network.neighbourhoods=[4,12]")
    saved, config = state(*small)
    for parameter in saved.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    saved.move(0.1)
    saved.save(tmp_path / "last.safetensors", {"network": config})
    there = "another architecture: StagedDenoiser"
    for words, names in (
        (
            [*small, "network.channels=8"],
            f"{there} channels=16, and the configuration asks for StagedDenoiser channels=8",
        ),
        # weights of the same shapes that mean something else
        ([*small[::2], "network.neighbours=14"], f"{there} neighbours=12, .* StagedDenoiser neighbours=14"),
        (["network=energy", *small], f"{there}, .* EnergyNetwork; give the configuration it was trained with"),
    ):
        other, wanted = state(*words)
        with pytest.raises(ModelError, match=names):
            other.load(tmp_path / "last.safetensors", wanted)
