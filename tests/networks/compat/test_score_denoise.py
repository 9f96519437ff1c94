import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from pcdenoise.denoisers.patchwise import EnsembleField
from pcdenoise.errors import ModelError
from pcdenoise.networks.compat.luo_hu import LuoHu
from pcdenoise.networks.compat.score_denoise import read_score_denoise, to_score_denoise
from pcdenoise.samplers.ascent import Ascent

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "score_denoise"
needs_reference = pytest.mark.skipif(
    not (REFERENCE / "ckpt.pt").is_file(), reason=f"the authors' checkpoint is not at {REFERENCE}"
)


@pytest.fixture(scope="module")
def published():
    network, arguments = read_score_denoise(REFERENCE / "ckpt.pt")
    assert arguments == {"convolutions": 4, "width": 24, "growth": 12, "hidden": 128, "blocks": 4}
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def computed():
    """What the authors' code computes."""
    with np.load(REFERENCE / "parity.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@needs_reference
def test_features_and_scores_are_the_authors(published, computed):
    features = published.features(computed["patch"][None])[0]
    torch.testing.assert_close(features, computed["features"], rtol=0, atol=1e-5)
    for context in (torch.enable_grad, torch.no_grad):  # two ways to compute the same
        with context():
            score = published(computed["features"], computed["probe"])
        torch.testing.assert_close(score, computed["score"], rtol=0, atol=1e-5)


@needs_reference
def test_ascent_is_the_authors(published, computed):
    patch = computed["patch"].double()
    field = EnsembleField(published, patch.numpy(), published.features(computed["patch"][None])[0], 4, 1.0)
    iterates = list(Ascent(steps=30, step=0.2, decay=0.95)(field, patch, torch.ones(1000, 1, dtype=torch.float64)))
    torch.testing.assert_close(iterates[0].float(), computed["step1"], rtol=0, atol=1e-6)
    torch.testing.assert_close(iterates[-1].float(), computed["denoised"], rtol=0, atol=1e-4)


@pytest.fixture
def small():
    torch.manual_seed(0)
    network = LuoHu(convolutions=3, width=10, growth=4, hidden=12, blocks=2)
    for tensor in network.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape) + 0.1)
    return network.eval()


def write(path, state, **more):
    """As the authors' training writes it."""
    torch.save({"args": argparse.Namespace(frame_knn=32), "state_dict": state, **more}, path)
    return path


def test_exported_and_read_again_it_is_the_same_network(small, tmp_path):
    state = to_score_denoise(small) | {"score_net.bn_out.num_batches_tracked": torch.tensor(7)}
    network, arguments = read_score_denoise(write(tmp_path / "ckpt.pt", state, others={"optimizer": {}}))
    assert arguments == {"convolutions": 3, "width": 10, "growth": 4, "hidden": 12, "blocks": 2}
    patch, offsets = torch.rand(2, 40, 3), 0.1 * torch.randn(80, 4, 3)
    features = small.features(patch)
    assert torch.equal(network.eval().features(patch), features)
    assert torch.equal(network(features.flatten(0, 1), offsets), small(features.flatten(0, 1), offsets))


def test_names_are_the_authors(small):
    state = to_score_denoise(small)
    assert state["feature_net.transforms.1.linear.weight"].shape == (10, 22)
    assert state["feature_net.convs.0.layer_first.linear.weight"].shape == (4, 10)
    assert state["feature_net.convs.2.layers.0.linear.bias"].shape == (4,)
    assert state["score_net.blocks.1.fc_c.weight"].shape == (12, 25, 1)
    assert state["score_net.blocks.0.bn_1.running_var"].shape == (12,)
    assert state["score_net.conv_out.weight"].shape == (3, 12, 1)


def test_other_shapes_are_named(small, tmp_path):
    state = to_score_denoise(small) | {"score_net.blocks.1.fc_1.weight": torch.zeros(9, 12, 1)}
    with pytest.raises(ModelError, match=r"fc_1.weight is \(9, 12, 1\) there and \(12, 12, 1\) in the published"):
        read_score_denoise(write(tmp_path / "ckpt.pt", state))
    del state["score_net.blocks.1.fc_1.weight"]
    with pytest.raises(ModelError, match=r"fc_1.weight is None there and \(12, 12, 1\)"):
        read_score_denoise(write(tmp_path / "ckpt.pt", state))


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


@pytest.mark.parametrize("content", [b"", b"ply\n", {"weights": 1}, {"state_dict": {"a": torch.ones(1)}}, [1], Trap()])
def test_other_files_are_refused_and_nothing_in_them_runs(tmp_path, content):
    path = tmp_path / "ckpt.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ModelError, match="not a Score-Denoise checkpoint"):
        read_score_denoise(path)


def test_no_file_is_said(tmp_path):
    with pytest.raises(ModelError, match="there is no checkpoint"):
        read_score_denoise(tmp_path / "ckpt.pt")
