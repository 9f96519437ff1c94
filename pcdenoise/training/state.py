"""Everything a training run needs to go on where it stopped."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcdenoise.checkpoint import load_checkpoint, load_weights, save_checkpoint, select
from pcdenoise.errors import ModelError
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.score import named

OPTIMIZERS = ("adamw", "muon")
SMALLEST_MATRIX = 16


class TrainingState:
    """Model, its moving average, optimisers and step.

    Args:
        model: the network under training.
        learning_rate, weight_decay: of the optimisers.
        optimizer: `adamw`, or `muon` (Jordan et al., "Muon: An optimizer for hidden layers", 2024): each step of a
            hidden matrix is made orthogonal, as long as AdamW's would be (Liu et al., "Muon is scalable for LLM
            training", 2025), and AdamW moves all else: vectors, matrices with a side below 16, and the layer `head`.
    """

    def __init__(
        self, model: ScoreNetwork, learning_rate: float, weight_decay: float, optimizer: str = "adamw"
    ) -> None:
        self.step = 0
        self.model = model
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        matrices = _hidden_matrices(model) if optimizer == "muon" else []
        chosen = set(matrices)
        others = [parameter for parameter in model.parameters() if parameter not in chosen]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=learning_rate, weight_decay=weight_decay)
        ]
        if matrices:
            muon = torch.optim.Muon(
                matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )
            self.optimizers.append(muon)
        self.records: dict[str, Any] = {"hours": 0.0, "cpu_hours": 0.0}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def move(self, learning_rate: float) -> None:
        """One step of the optimisers along the gradients."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()
        self.step += 1

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
        for optimizer, rows in zip(self.optimizers, self._rows(), strict=True):
            for index, values in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{rows[index]}.{name}": value for name, value in values.items()}
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
        for optimizer, rows in zip(self.optimizers, self._rows(), strict=True):
            its = {index: state[row] for index, row in enumerate(rows) if row in state}
            optimizer.load_state_dict({**optimizer.state_dict(), "state": its})
        self.step, self.records = header["step"], self.records | header["records"]

    def _rows(self) -> list[list[int]]:
        """Of each optimiser's parameters, their numbers in the model."""
        row = {parameter: index for index, parameter in enumerate(self.model.parameters())}
        return [[row[p] for group in optimizer.param_groups for p in group["params"]] for optimizer in self.optimizers]


def _hidden_matrices(model: nn.Module) -> list[Tensor]:
    return [
        layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and min(layer.weight.shape) >= SMALLEST_MATRIX and not name.endswith("head")
    ]


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
