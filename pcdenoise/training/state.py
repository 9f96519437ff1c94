"""Everything a training run needs to go on where it stopped."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcdenoise.checkpoint import load_checkpoint, load_weights, save_checkpoint, select
from pcdenoise.errors import ModelError
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.score import named


class TrainingState:
    """Model, its moving average, optimiser and step.

    Args:
        model: the network under training.
        learning_rate, weight_decay: of AdamW.
    """

    def __init__(self, model: ScoreNetwork, learning_rate: float, weight_decay: float) -> None:
        self.step = 0
        self.model = model
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self.records: dict[str, Any] = {"hours": 0.0, "cpu_hours": 0.0}

    def update_average(self, decay: float) -> None:
        """`average <- decay average + (1 - decay) model`; buffers, which are averages or counts already, are copied."""
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
            for copied, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
                copied.copy_(buffer)

    def save(self, path: Path, header: Mapping[str, Any]) -> None:
        """Write model, average, optimiser and step to one file."""
        tensors: dict[str, Tensor] = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        save_checkpoint(path, tensors, {**header, "step": self.step, "records": self.records})

    def load(self, path: Path, network: Mapping[str, Any]) -> None:
        """Continue from a file that `save` wrote.

        Args:
            path: the file.
            network: configuration of the model.

        Raises:
            ModelError: not a training checkpoint, or one of another architecture; names both.
        """
        tensors, header = load_checkpoint(path)
        if "step" not in header or not select(tensors, "optimizer."):
            raise ModelError(f"{path} holds weights but no training state; resume from a run's last.safetensors")
        _check_architecture(header["network"], network, path)
        load_weights(self.model, select(tensors, "model."), path)
        load_weights(self.average, select(tensors, "average."), path)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in select(tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.step, self.records = header["step"], self.records | header["records"]


def _check_architecture(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: Path) -> None:
    differing = [key for key in ours if key in theirs and ours[key] != theirs[key]]
    if not differing:
        return
    keys = [] if "_target_" in differing else differing
    they, we = (f"{named(network)} " + ",".join(f"{key}={network[key]}" for key in keys) for network in (theirs, ours))
    raise ModelError(
        f"{path} was made for another architecture: {they.strip()}, and the configuration asks for {we.strip()}; "
        "give the configuration it was trained with, or another output=FOLDER"
    )
