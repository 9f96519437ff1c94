"""The engine that a network runs in."""

from dataclasses import fields
from typing import Any, Protocol

import torch
from torch import Tensor

from pcdenoise.denoisers.learned import LearnedDenoiser
from pcdenoise.denoisers.mover import Mover
from pcdenoise.denoisers.patchwise import PatchwiseDenoiser
from pcdenoise.networks.compat.luo_hu import LuoHu
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.score import Sampler, ScoreField


class Engine(Mover, Protocol):
    """A network that moves the points of a cloud along its score field."""

    @property
    def model(self) -> ScoreNetwork: ...

    def field(self, noisy: Tensor, sigma: Tensor) -> ScoreField: ...


def engine_of(network: ScoreNetwork, device: torch.device | str, sampler: Sampler, **options: Any) -> Engine:
    """The engine for a network: whole clouds in tiles, or patches for a network whose graph is not that of the points.

    Args:
        network: on the device.
        device: where it runs.
        sampler: how its field is followed.
        options: further arguments of either engine; what the one at hand does not have is left out.

    Raises:
        TypeError: an option that neither has.
    """
    engine: Any = PatchwiseDenoiser if isinstance(network, LuoHu) else LearnedDenoiser
    names = {kind: {field.name for field in fields(kind)} for kind in (LearnedDenoiser, PatchwiseDenoiser)}
    if unknown := options.keys() - set().union(*names.values()):
        raise TypeError(f"no engine has an option {min(unknown)!r}")
    built: Engine = engine(
        network, torch.device(device), sampler, **{k: v for k, v in options.items() if k in names[engine]}
    )
    return built
