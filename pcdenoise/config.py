"""Configurations: where they lie, how they are composed, how they become objects."""

import dataclasses
import importlib
import math
import re
from pathlib import Path
from typing import Any

from pcdenoise.errors import UsageError

TARGET = "_target_"


def config_dir() -> Path:
    """The folder of the configuration tree: inside an installed package, beside the package in a checkout.

    Raises:
        UsageError: there is none.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise UsageError("the configuration folder conf/ is missing; reinstall pcdenoise")


def compose(name: str, overrides: list[str]) -> dict[str, Any]:
    """Compose `conf/<name>.yaml` with Hydra and return it as plain dictionaries, interpolations resolved.

    Args:
        name: `train`, ...
        overrides: Hydra overrides such as `dataset=pu_net` or `trainer.max_steps=100`.

    Raises:
        UsageError: an option or a value does not exist; says which.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = hydra_compose(name, overrides=overrides)
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        # Hydra goes on with advice on its own syntax and search path, which does not help here.
        reason = re.split(r" Config search path| To append to", " ".join(str(error).split()))[0]
        raise UsageError(f"the configuration cannot be composed: {reason}") from None
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def instantiate(config: Any) -> Any:
    """Turn `{_target_: pcdenoise.module.Class, **arguments}` into an object, nested ones first; lists become tuples.

    Raises:
        UsageError: a target outside pcdenoise, one that does not exist, or arguments it does not take.
    """
    if isinstance(config, dict):
        values = {key: instantiate(value) for key, value in config.items() if key != TARGET}
        if TARGET not in config:
            return values
        target = str(config[TARGET])
        module, _, name = target.rpartition(".")
        if module.partition(".")[0] != "pcdenoise":
            raise UsageError(f"the target {target!r} lies outside pcdenoise; give one of its own classes")
        try:
            cls = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            raise UsageError(f"there is no {target!r}; check the spelling of _target_") from None
        _check_numbers(cls, values)
        try:
            return cls(**values)
        except TypeError as error:
            raise UsageError(f"{target} does not take these arguments: {error}") from None
    if isinstance(config, list | tuple):
        return tuple(instantiate(value) for value in config)
    return config


def _check_numbers(cls: Any, values: dict[str, Any]) -> None:
    """Refuse words and infinities where a dataclass wants a number, which YAML lets through."""
    kinds = {field.name: field.type for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}
    for key, value in values.items():
        kind = kinds.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if (kind in (float, "float") and not number) or (kind in (int, "int") and not (number and value == int(value))):
            wanted = "number" if kind in (float, "float") else "whole number"
            raise UsageError(f"{key} of {cls.__name__} is {value!r}; give a {wanted}")
