"""Checkpoints of the authors' code for "Score-Based Point Cloud Denoising", https://github.com/luost26/score-denoise."""

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from pcdenoise.errors import ModelError
from pcdenoise.networks.compat.luo_hu import LuoHu

# Parts of our names and what the authors call them.
NAMES = {
    ".norm_first.": ".bn_0.",
    ".norm_second.": ".bn_1.",
    "convolutions.": "feature_net.convs.",
    "transforms.": "feature_net.transforms.",
    "head.enter.": "score_net.conv_p.",
    "head.norm.": "score_net.bn_out.",
    "head.leave.": "score_net.conv_out.",
    "head.blocks.": "score_net.blocks.",
}
EDGE_LAYERS = {".first.": ".layer_first.linear.", ".middle.": ".layers.0.linear.", ".last.": ".layer_last.linear."}
BLOCK_LAYERS = {".first.": ".fc_0.", ".second.": ".fc_1.", ".condition.": ".fc_c."}
IGNORED = "num_batches_tracked"


def read_score_denoise(path: Path) -> tuple[LuoHu, dict[str, Any]]:
    """The network in a checkpoint of the authors, and the arguments that it is made with.

    Nothing that the file says is run: of Python's objects only the `argparse.Namespace` of its options is let in.

    Raises:
        ModelError: no such file, not such a checkpoint, or tensors of other names or shapes; names the first.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}; give the ckpt.pt of the authors' repository")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
        state = {str(name): value for name, value in content["state_dict"].items()}
    except (
        pickle.UnpicklingError, BadZipFile, OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError,
        AttributeError,
    ):  # fmt: skip
        raise ModelError(
            f"{path} is not a Score-Denoise checkpoint; give the ckpt.pt of the authors' repository"
        ) from None
    state = {name: value for name, value in state.items() if not name.endswith(IGNORED)}
    arguments = _arguments(state, path)
    network = LuoHu(**arguments)
    theirs = to_score_denoise(network)
    for name in sorted(theirs.keys() | state.keys()):
        expected, found = (tuple(t[name].shape) if name in t else None for t in (theirs, state))
        if expected != found:
            raise ModelError(
                f"{path} is of another architecture: {name} is {found} there and {expected} in the published network; "
                "give a checkpoint of the published one"
            )
    network.load_state_dict(
        {name: state[_published(name)].view(own.shape) for name, own in network.state_dict().items()}
    )
    return network, arguments


def to_score_denoise(network: LuoHu) -> dict[str, Tensor]:
    """The weights under the authors' names; the score network's maps are convolutions (out, in, 1) there."""
    state = {_published(name): value for name, value in network.state_dict().items()}
    return {
        name: value[..., None] if name.startswith("score_net.") and value.dim() == 2 else value
        for name, value in state.items()
    }


def _published(name: str) -> str:
    layers = EDGE_LAYERS if name.startswith("convolutions.") else BLOCK_LAYERS
    if name.startswith("transforms."):
        name = name.replace(".weight", ".linear.weight").replace(".bias", ".linear.bias")
    for ours, theirs in (layers | NAMES).items():
        name = name.replace(ours, theirs)
    return name


def _arguments(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """What `LuoHu` is made with, read off the shapes."""

    def count(ending: str) -> int:
        return sum(name.endswith(ending) for name in state)

    try:
        return {
            "convolutions": count(".layer_first.linear.weight"),
            "width": len(state["feature_net.transforms.0.linear.weight"]),
            "growth": len(state["feature_net.convs.0.layer_first.linear.weight"]),
            "hidden": len(state["score_net.conv_p.weight"]),
            "blocks": count(".fc_0.weight"),
        }
    except KeyError as error:
        raise ModelError(
            f"{path} is not a Score-Denoise checkpoint: it has no tensor {error.args[0]}; "
            "give the ckpt.pt of the authors' repository"
        ) from None
