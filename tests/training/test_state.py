import pytest
import torch
from torch import nn

from pcdenoise.config import compose, instantiate
from pcdenoise.errors import ModelError
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.training.state import TrainingState


class Normalising(ScoreNetwork):
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(2))
        self.linear, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def fields(self, patches):
        raise NotImplementedError


def stepped(state):
    state.optimizer.zero_grad()
    state.model.norm(state.model.linear(torch.randn(20, 3))).square().sum().backward()
    state.optimizer.step()
    state.step += 1
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


def test_a_checkpoint_holds_everything(tmp_path):
    """Buffers too, and a parameter that has no state in the optimiser because it never had a gradient."""
    torch.manual_seed(0)
    first, second = (TrainingState(Normalising(), 0.1, 0.0) for _ in range(2))
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


def test_a_checkpoint_of_another_architecture_names_both(tmp_path):
    def state(*words):
        config = compose("train", list(words))["network"]
        return TrainingState(instantiate(config), 0.1, 0.0), config

    small = ("network.channels=16", "network.neighbours=12", "network.neighbourhoods=[4,12]")
    saved, config = state(*small)
    for parameter in saved.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    saved.optimizer.step()
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
