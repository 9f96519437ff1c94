"""Training in bfloat16."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices in bfloat16 faster than in float32: newer GPUs, and processors with AMX."""
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported()
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def autocast_linear_layers(network: nn.Module, device: torch.device) -> None:
    """Let the linear layers of a network compute in bfloat16 under autocast, wherever they are called from.

    They take and give float32: normalisation, edges, positions and losses stay in it.
    """

    def rounded(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return forward(x).float()

    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.forward = partial(rounded, layer.forward)  # type: ignore[method-assign]
