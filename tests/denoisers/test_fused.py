import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pcdenoise.checkpoint import load_checkpoint, save_checkpoint
from pcdenoise.denoisers import models, staged
from pcdenoise.denoisers.fused import CONFIGURATION, FusedDenoiser, fused_denoiser
from pcdenoise.denoisers.learned import LearnedDenoiser
from pcdenoise.denoisers.models import load_model
from pcdenoise.errors import ModelError
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.samplers.ascent import Ascent

SHAPE = {
    "channels": 16,
    "blocks": [1, 2, 1],
    "neighbours": 12,
    "neighbourhoods": [4, 12],
    "handed_on": 16,
    "conditioning": "input",
    "subset_sigma": 0.4,
    "hops": 1,
    "polish": [0.25, 0.35],
    "polishes": 2,
    "polish_subsets": 1.5,
    "noisy_moments": True,
}
CONFIGURED = {"_target_": "pcdenoise.networks.denoiser.StagedDenoiser", **SHAPE}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = StagedDenoiser(**SHAPE)
    for stage in network.stages:
        nn.init.normal_(stage.head.weight, std=0.03)
        for block in stage.features.blocks:
            nn.init.normal_(block.reduce.weight, std=0.1)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def cloud():
    rng = np.random.default_rng(0)
    plane = rng.random((4000, 3)) * [63, 63, 0]
    return plane + 0.5 * rng.standard_normal(plane.shape)


def fused(network, configuration=CONFIGURED, **options):
    weights = {name: its.numpy() for name, its in network.state_dict().items()}
    return fused_denoiser(weights, configuration, lambda: network, options)


@pytest.mark.parametrize("passes", [1, 2, 3, 4])
@pytest.mark.parametrize("walls", [False, True])
def test_it_does_what_torch_does(network, cloud, passes, walls, monkeypatch):
    monkeypatch.setattr(staged, "PATCHES", 2)
    monkeypatch.setattr(staged, "PATCH_POINTS", 500)
    monkeypatch.setattr(staged.StagePlan, "FULL_SUBSET", 500)
    sigma, learned = np.full(len(cloud), 0.5), LearnedDenoiser(network, walls=walls)
    denoiser = fused(network, walls=walls)
    assert (denoiser.passes, denoiser.polished_once) == (learned.passes, learned.polished_once)
    assert denoiser.neighbours == learned.neighbours
    seen, told, wanted = [], [], learned(cloud, sigma, min(passes, 3))
    found = denoiser(cloud, sigma, min(passes, 3), told.append, iterate=seen.append)
    assert np.abs(wanted - cloud).max() > 0.1
    # a rounding may decide which of two points is the nearer one
    assert np.quantile(np.abs(found - wanted), 0.99) < 1e-4
    np.testing.assert_array_equal(seen[-1], found)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_neither_tiles_nor_repetition_matter(network, cloud):
    sigma = np.full(len(cloud), 0.5)
    whole = fused(network)(cloud, sigma, 3)
    np.testing.assert_array_equal(fused(network)(cloud, sigma, 3), whole)
    assert np.quantile(np.abs(fused(network, tile=900)(cloud, sigma, 3) - whole), 0.99) < 1e-4


def test_asked_for_its_field_it_answers_as_torch_does(network, cloud):
    noisy, sigma = torch.from_numpy(cloud), torch.full((len(cloud), 1), 0.5, dtype=torch.float64)
    found, wanted = (its.field(noisy, sigma)(noisy, sigma) for its in (fused(network), LearnedDenoiser(network)))
    torch.testing.assert_close(found, wanted)
    assert fused(network).model is network


@pytest.mark.parametrize(
    "changed",
    [
        {"channels": 24},
        {"conditioning": "film"},
        {"hops": 2},
        {"blocks": [1, 2]},
        {"_target_": "pcdenoise.other.Network"},
    ],
)
def test_what_is_not_fused_is_left_to_torch(network, changed):
    assert fused(network) is not None
    assert fused(network, CONFIGURED | changed) is None


def test_what_is_not_said_is_left_to_torch(network):
    assert set(CONFIGURED) == CONFIGURATION
    assert fused(network, {name: its for name, its in CONFIGURED.items() if name != "hops"}) is None
    assert fused(network, patch=500) is None


def test_the_weights_that_ship_are_fused():
    denoiser = load_model("flagship", "cpu", tile=5000, relaxation=0.5, ensemble=3)
    assert isinstance(denoiser, FusedDenoiser)
    assert (denoiser.tile, denoiser.relaxation) == (5000, 0.5)
    assert isinstance(denoiser.model, StagedDenoiser)
    several = Ascent(steps=2)
    assert isinstance(load_model("flagship", "cpu", several), LearnedDenoiser)


def test_weights_of_another_architecture_are_refused_as_ever(tmp_path, network):
    path = tmp_path / "other.safetensors"
    header = {"network": CONFIGURED, "sampler": {"_target_": "pcdenoise.samplers.ascent.Ascent"}}
    save_checkpoint(path, network.state_dict(), header)
    assert isinstance(load_model(path, "cpu"), FusedDenoiser)
    tensors, _ = load_checkpoint(path)
    tensors["stages.1.head.bias"] = tensors["stages.1.head.bias"][:-1]
    save_checkpoint(path, tensors, header)
    with pytest.raises(ModelError, match=r"stages.1.head.bias is \(.*\) there"):
        load_model(path, "cpu")


def test_a_cloud_is_cleaned_without_torch(tmp_path):
    noisy = np.random.default_rng(0).standard_normal((2000, 3))
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True) / np.random.default_rng(1).normal(1, 0.02, (2000, 1))
    np.savetxt(tmp_path / "cloud.xyz", noisy)
    program = (
        "import sys, json\nfrom pcdenoise.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "print(json.dumps([code, sorted({'torch', 'open3d'} & sys.modules.keys())]))"
    )
    words = ["denoise", str(tmp_path / "cloud.xyz"), "--device", "cpu", "--quiet"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, []]
    assert (tmp_path / "cloud_denoised.xyz").is_file()


def test_without_a_driver_torch_is_not_asked_for_a_device(monkeypatch):
    monkeypatch.setattr(models, "CUDA_DRIVER", "libno-such-driver.so.1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert load_model("flagship").device == "cpu"
