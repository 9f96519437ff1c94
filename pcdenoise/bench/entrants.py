"""The methods of a benchmark, and the floor that is always among them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh
from pcdenoise.config import instantiate
from pcdenoise.datasets.surfaces import content_hash
from pcdenoise.denoisers.baselines.identity import Identity
from pcdenoise.denoisers.baselines.projection import Projection
from pcdenoise.denoisers.baselines.tuned import TunedMethod
from pcdenoise.denoisers.catalogue import method_config
from pcdenoise.denoisers.learned_method import Learned
from pcdenoise.denoisers.method import Method
from pcdenoise.denoisers.models import model_path
from pcdenoise.errors import UsageError
from pcdenoise.metrics.floor import sampling


@dataclass(frozen=True)
class SecondSampling:
    """Not a denoiser: another clean cloud of the true surface, see `pcdenoise.metrics.floor.sampling`."""

    source: ClassVar[str] = "floor: a second clean sampling of the true mesh"
    needs: ClassVar[frozenset[str]] = frozenset({"mesh"})

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: float | None = None,  # noqa: ARG002
        mesh: Mesh | None = None,
        seed: int = 0,
    ) -> NDArray[np.float64]:
        """As many points as the cloud has; they are not its rows."""
        assert mesh is not None
        return sampling(*mesh, len(points), seed)


@dataclass(frozen=True)
class Entrant:
    """One row of the tables.

    Attributes:
        name: as it was asked for, weights by the name of their file, with `(told)` where it is told the noise.
        method: the denoiser.
        config: of the method.
        told: whether it is told the noise.
        is_floor: what nobody can beat by much, or need not try: shown apart.
        parameters: trained numbers; 0 where nothing was trained.
        fingerprint: of the configuration, weights included: changing it makes another entrant of the same name.
    """

    name: str
    method: Method
    config: dict[str, Any]
    told: bool
    is_floor: bool
    parameters: int
    fingerprint: str

    @classmethod
    def of(cls, name: str, config: dict[str, Any], method: Method, *, told: bool = False) -> "Entrant":
        """From a method and its configuration."""
        described: dict[str, Any] = {"config": config, "told": told}
        if isinstance(method, Learned):
            described["weights"] = content_hash(model_path(method.model))
        return cls(
            name=f"{name} (told)" if told else name,
            method=method,
            config=config,
            told=told,
            is_floor=isinstance(method, Identity | Projection | SecondSampling),
            parameters=method.parameters if isinstance(method, Learned) else 0,
            fingerprint=hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16],
        )


FLOOR: dict[str, Method] = {"identity": Identity(), "projection": Projection(), "sampling": SecondSampling()}


def entrants_of(methods: Sequence[str], *, told: bool, meshes: bool) -> list[Entrant]:
    """The floor, then the methods in their order, each once.

    Args:
        methods: names of methods or models or paths of weights, each followed by values of its own, as in
            `jet neighbours=24`.
        told: add to each method that goes by the noise the same one that is told it.
        meshes: whether there is a true surface, which the floor needs.

    Raises:
        UsageError: no such method, a value that it does not take, or an oracle where there is no true surface.
        ModelError: weights that are missing or unreadable.
    """
    floor = [Entrant.of(name, {"floor": name}, method) for name, method in FLOOR.items() if meshes or not method.needs]
    found = []
    wanted = list(dict.fromkeys(" ".join(words.split()) for words in methods))
    for asked in wanted:
        if not asked:
            raise UsageError("a method is empty; give names such as methods=[edgeconv,jet]")
        name, *words = asked.split()
        config = method_config(name, words)
        method: Method = instantiate(config)
        if "mesh" in method.needs and not meshes:
            raise UsageError(f"the method {name!r} needs the true mesh, and this data set has none; leave it out")
        if asked in FLOOR:
            continue
        shown = _short(asked) if [_short(other) for other in wanted].count(_short(asked)) == 1 else asked
        found.append(Entrant.of(shown, config, method))
        if told and isinstance(method, TunedMethod):
            found.append(Entrant.of(shown, config, method, told=True))
    return floor + found


def _short(asked: str) -> str:
    """What was asked for, weights without their folder and suffix."""
    name, *words = asked.split() or [""]
    return " ".join([Path(name).stem if name.endswith(".safetensors") else name, *words])
