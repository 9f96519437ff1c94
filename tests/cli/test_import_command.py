import argparse
import hashlib
import os

import pytest
import torch

from pcdenoise.checkpoint import load_checkpoint
from pcdenoise.config import instantiate
from pcdenoise.networks.compat.luo_hu import LuoHu
from pcdenoise.networks.compat.score_denoise import to_score_denoise


@pytest.fixture
def ckpt(folder):
    torch.manual_seed(0)
    network = LuoHu(convolutions=2, width=10, growth=4, hidden=12, blocks=2)
    torch.save({"args": argparse.Namespace(), "state_dict": to_score_denoise(network)}, folder / "ckpt.pt")
    return folder / "ckpt.pt"


def test_weights_and_where_they_are_from(cli, ckpt, folder):
    result = cli("import", "score-denoise", ckpt, "-o", "weights.safetensors")
    assert (result.code, result.err) == (0, "")
    assert "weights.safetensors" in result.out
    tensors, header = load_checkpoint(folder / "weights.safetensors")
    network = instantiate(header["network"])
    network.load_state_dict(tensors)
    theirs = torch.load(ckpt, weights_only=False)["state_dict"]
    assert all(torch.equal(value, theirs[name]) for name, value in to_score_denoise(network).items())
    assert instantiate(header["sampler"]).steps == 30
    assert header["provenance"]["sha256"] == hashlib.sha256(ckpt.read_bytes()).hexdigest()
    assert "MIT" in header["provenance"]["licence"]


def test_the_default_name_and_overwriting(cli, refused, ckpt, folder):
    assert cli("import", "score-denoise", "ckpt.pt").code == 0
    assert (folder / "ckpt.safetensors").is_file()
    refused(4, ["ckpt.safetensors exists", "--overwrite"], "import", "score-denoise", "ckpt.pt")
    assert cli("import", "score-denoise", "ckpt.pt", "--overwrite").code == 0


def test_mistakes_are_said_in_one_line(refused, ckpt, folder):
    (folder / "text.pt").write_text("not a checkpoint")
    torch.save({"state_dict": {"feature_net.transforms.0.linear.weight": torch.ones(2, 3)}}, folder / "other.pt")
    convert = "import", "score-denoise"
    refused(5, "there is no checkpoint", *convert, "absent.pt")
    refused(5, "text.pt is not a Score-Denoise checkpoint", *convert, "text.pt")
    refused(5, "it has no tensor feature_net.convs.0", *convert, "other.pt")
    refused(2, "score-denoise", "import", "pd-lts", ckpt)
    refused(4, "end it in .safetensors", *convert, ckpt, "-o", "weights.pt")
    refused(4, "does not exist", *convert, ckpt, "-o", "nowhere/weights.safetensors")
    (folder / "folder.safetensors").mkdir()
    refused(4, "is a directory", *convert, ckpt, "-o", "folder.safetensors")


def test_a_folder_that_may_not_be_written(refused, ckpt, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # nothing is closed to root
    refused(4, "is not writable", "import", "score-denoise", ckpt)


def test_other_shapes_are_named(refused, ckpt, folder):
    content = torch.load(ckpt, weights_only=False)
    content["state_dict"]["score_net.conv_out.weight"] = torch.zeros(4, 12, 1)
    torch.save(content, folder / "wide.pt")
    words = ["score_net.conv_out.weight", "(4, 12, 1)", "(3, 12, 1)"]
    refused(5, words, "import", "score-denoise", "wide.pt")
