import subprocess
import sys

import pytest
import torch
from torch import nn

from pcdenoise.losses.mdsm import MDSM
from pcdenoise.losses.paired_dsm import PairedDSM
from pcdenoise.losses.sliced import Sliced
from pcdenoise.networks.conditional import ConditionalScore
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.networks.energy import EnergyNetwork
from pcdenoise.training.loop import stage_losses
from pcdenoise.training.memory import peak_memory, recompute_blocks
from pcdenoise.training.patches import PatchSampler

CPU = torch.device("cpu")
GRAPH = {"channels": 32, "neighbours": 12, "neighbourhoods": (4, 12)}


def test_the_peak_is_what_tensors_hold_at_once():
    held = torch.ones(1000)  # made before, does not count
    with peak_memory(CPU) as peak:
        a = torch.ones(1000)  # 4000
        b = a + held  # 8000
        del a
        c = b.view(10, 100).t()  # a view holds nothing more
        d = torch.ones(500, dtype=torch.float64)  # 8000
        del b, c  # 4000
        e = d + d  # 8000
    assert peak.bytes == 8000
    assert e.sum() == 1000


def test_the_peak_counts_what_the_backward_pass_keeps():
    weight = torch.ones(1000, requires_grad=True)
    with peak_memory(CPU) as peak:
        y = (weight.exp().exp()).sum()  # each exp keeps what it gives
        del y
    assert peak.bytes == 8004
    with peak_memory(CPU) as peak, torch.no_grad():
        weight.exp().exp().sum()
    assert peak.bytes == 8000


@pytest.mark.skipif(sys.platform != "linux", reason="of the C library of Linux")
def test_freed_memory_is_given_back():
    """In a process of its own: what earlier tests have freed would be taken again."""
    script = """
import resource
from pathlib import Path
import torch
from pcdenoise.training.memory import give_back_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

torch.ones(4 << 20)  # 16 MB: the first that is freed sets what the C library keeps from then on
give_back_large_blocks()
before = resident()
held = [torch.ones(1 << 19) for _ in range(50)]
taken = resident() - before
del held[:-1]  # the last one lies above them
print(taken, resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    taken, kept = map(int, done.stdout.split())
    assert taken > 90e6
    assert kept < 10e6


def trained(build, loss, batch, *, low):
    """Gradients of one step, and the peak of what it holds."""
    torch.manual_seed(0)
    network = build()
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    if low:
        recompute_blocks(network)
    with peak_memory(CPU) as peak:
        stages = len(getattr(network, "stages", [0]))
        stage_losses(network, loss, batch, torch.Generator().manual_seed(0), stages).sum().backward()
    return [parameter.grad for parameter in network.parameters()], peak.bytes


@pytest.mark.parametrize(
    ("build", "loss", "share"),
    [
        (lambda: StagedDenoiser(**GRAPH, blocks=(4, 3)), PairedDSM(), 0.45),
        (lambda: ConditionalScore(**GRAPH, blocks=4, hidden=48, residual=3), Sliced(), 0.9),
        (lambda: ConditionalScore(**GRAPH, blocks=4, hidden=48, residual=3), PairedDSM(), 0.45),
        (lambda: EnergyNetwork(**GRAPH, blocks=4), MDSM(), 1.0),
    ],
    ids=["staged", "conditional, a derivative of the score", "conditional", "energy"],
)
def test_computing_blocks_again_takes_less_memory_and_gives_the_same_gradients(cloud, build, loss, share):
    batch = PatchSampler(points=400, patches=1, levels=loss.levels).batch([cloud], 0)
    wanted, normal = trained(build, loss, batch, low=False)
    gradients, low = trained(build, loss, batch, low=True)
    assert low < share * normal
    for a, b in zip(gradients, wanted, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)
