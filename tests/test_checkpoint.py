import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pcdenoise.checkpoint import load_checkpoint, load_weights, save_checkpoint, select
from pcdenoise.errors import ModelError, OutputError


def test_round_trip(tmp_path):
    tensors = {"a.w": torch.randn(3, 4), "a.b": torch.arange(3)}
    save_checkpoint(tmp_path / "x.safetensors", tensors, {"steps": 7})
    loaded, header = load_checkpoint(tmp_path / "x.safetensors")
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert header["steps"] == 7
    assert list(tmp_path.iterdir()) == [tmp_path / "x.safetensors"]
    assert select(loaded, "a.").keys() == {"w", "b"}


def test_the_checksum_is_that_of_names_types_shapes_and_bytes(tmp_path):
    """Files written before must stay readable, whatever computes it."""
    tensors = {"step": torch.tensor(7), "a": torch.arange(6, dtype=torch.float32).reshape(2, 3).T}
    save_checkpoint(tmp_path / "x.safetensors", tensors, {})
    loaded, header = load_checkpoint(tmp_path / "x.safetensors")
    sha = hashlib.sha256(b"a <f4 (3, 2)" + np.array([0, 3, 1, 4, 2, 5], "<f4").tobytes())
    sha.update(b"step <i8 ()" + np.array(7, "<i8").tobytes())
    assert header["sha256"] == sha.hexdigest()
    assert all(torch.equal(loaded[name], its) for name, its in tensors.items())


def test_missing_foreign_corrupt_truncated(tmp_path):
    with pytest.raises(ModelError, match="no weights at"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no safetensors file")
    with pytest.raises(ModelError, match="not a readable"):
        load_checkpoint(tmp_path / "text.safetensors")
    save_file({"w": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match="not written by pcdenoise"):
        load_checkpoint(tmp_path / "foreign.safetensors")
    save_checkpoint(tmp_path / "good.safetensors", {"w": torch.ones(1000)}, {})
    data = (tmp_path / "good.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(data[:-100])
    with pytest.raises(ModelError, match="not a readable"):
        load_checkpoint(tmp_path / "short.safetensors")
    (tmp_path / "flipped.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(tmp_path / "flipped.safetensors")


def test_unwritable_target_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        save_checkpoint(tmp_path / "none" / "x.safetensors", {}, {})
    assert not list(tmp_path.iterdir())


def test_another_architecture_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"weight is \(2, 3\) there and \(5, 3\) in the model"):
        load_weights(nn.Linear(3, 5), {"weight": torch.zeros(2, 3), "bias": torch.zeros(5)}, tmp_path / "w")
