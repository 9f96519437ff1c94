import copy

import pytest
import torch

from pcdenoise.kernels.gather_max import gather_max_reference
from pcdenoise.losses.paired_dsm import PairedDSM
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.training.loop import Trainer, stage_losses
from pcdenoise.training.patches import PatchSampler
from pcdenoise.training.precision import autocast_linear_layers, has_bfloat16
from pcdenoise.training.state import TrainingState


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = StagedDenoiser(channels=16, blocks=(1,), neighbours=12, neighbourhoods=(4, 12))
    torch.nn.init.normal_(network.stages[0].head.weight, std=0.1)
    return network


def test_linear_layers_are_rounded_and_all_else_is_not(cloud, network, monkeypatch):
    """On the CPU in place of a GPU, with the plain kernel that GPUs use."""
    for module in ("edgeconv", "features"):
        monkeypatch.setattr(f"pcdenoise.networks.{module}.gather_max", gather_max_reference)
    batch = PatchSampler(points=200, patches=1).batch([cloud], 0)
    rounded = copy.deepcopy(network)
    autocast_linear_layers(rounded, torch.device("cpu"))
    gradients, losses, seen = [], [], {}
    for built in (network, rounded):
        for name, module in built.named_modules():
            module.register_forward_hook(lambda m, i, out, name=name, built=built: seen.update({(built, name): out}))
        losses.append(stage_losses(built, PairedDSM(), batch, torch.Generator(), 1).sum())
        losses[-1].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in built.parameters() if p.grad is not None]))
    block = "stages.0.features.blocks.0"
    of_linear = seen[rounded, f"{block}.neighbour"]
    assert torch.equal(of_linear, of_linear.bfloat16().float())
    for name in (block, f"{block}.norm"):
        assert not torch.equal(seen[rounded, name], seen[rounded, name].bfloat16().float())
    assert seen[rounded, "stages.0"][0].dtype == losses[1].dtype == gradients[1].dtype == torch.float32
    assert losses[0] != losses[1]
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


def test_a_cpu_stays_in_float32_unless_it_is_asked(cloud, network, monkeypatch):
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: True)
    assert has_bfloat16(torch.device("cpu"))
    losses = {}
    for precision in ("auto", "float32", "bfloat16"):
        state = TrainingState(copy.deepcopy(network), 1e-3, 0.0)
        trainer = Trainer(max_steps=2, precision=precision)
        losses[precision] = [step.loss for step in trainer.run(state, PairedDSM(), PatchSampler(200, 2), [cloud])]
    assert losses["auto"] == losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


@pytest.mark.gpu
@pytest.mark.parametrize("memory", ["normal", "low"])
def test_training_on_a_gpu(cloud, network, memory):
    network.cuda()
    state = TrainingState(network, 1e-3, 0.0)
    trainer = Trainer(max_steps=3, memory=memory, precision="bfloat16")
    steps = list(trainer.run(state, PairedDSM(), PatchSampler(points=200, patches=2), [cloud]))
    assert all(step.loss < 10 for step in steps)
    assert steps[0].memory > 0
    assert next(state.average.parameters()).dtype == torch.float32
