"""Noise models by name: the files of conf/noise/."""

import re
from collections.abc import Sequence
from typing import Any

from pcdenoise.config import compose, config_dir, instantiate
from pcdenoise.datasets.noise_models.model import NoiseModel
from pcdenoise.errors import UsageError


def noise_names() -> list[str]:
    """Names of the noise models, in alphabetical order."""
    return sorted(path.stem for path in (config_dir() / "noise").glob("*.yaml"))


def noise_config(name: str, level: float | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """`conf/noise/<name>.yaml`, composed.

    Args:
        name: one of `noise_names()`.
        level: relative to the unit sphere; None takes that of `conf/noise.yaml`.
        overrides: of its other values, such as `share=0.1`.

    Raises:
        UsageError: no such model, a level for a model that has none, or no such value.
    """
    if name not in noise_names():
        raise UsageError(f"there is no noise model {name!r}; choose from {', '.join(noise_names())}")
    text = (config_dir() / "noise" / f"{name}.yaml").read_text()
    known = sorted(re.findall(r"^(\w+):", text, flags=re.MULTILINE))[1:]
    words = [f"noise={name}"]
    if level is not None:
        if "${level}" not in text:
            raise UsageError(f"the noise model {name!r} has no level; its values are {', '.join(known)}")
        words.append(f"level={level}")
    for word in overrides:
        if word.partition("=")[0] not in known:
            raise UsageError(f"the noise model {name!r} does not take {word!r}; its values are {', '.join(known)}")
        words.append(f"noise.{word}")
    config: dict[str, Any] = compose("noise", words)["noise"]
    return config


def noise_model(name: str, level: float | None = None, overrides: Sequence[str] = ()) -> NoiseModel:
    """The noise model of `noise_config` with the same arguments.

    Raises:
        UsageError: as there, or a value out of its range.
    """
    model = instantiate(noise_config(name, level, overrides))
    assert isinstance(model, NoiseModel)
    return model
