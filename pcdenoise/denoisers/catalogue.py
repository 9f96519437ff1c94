"""Denoisers by name: the files of conf/method/, the models that come with the package, and any other weights."""

import re
from collections.abc import Sequence
from typing import Any

from pcdenoise.config import compose, config_dir, instantiate
from pcdenoise.denoisers.method import Method
from pcdenoise.denoisers.models import list_models
from pcdenoise.errors import UsageError

LEARNED = "learned"


def method_names() -> list[str]:
    """Names of the methods, in alphabetical order."""
    return sorted(path.stem for path in (config_dir() / "method").glob("*.yaml"))


def method_config(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """`conf/method/<name>.yaml`, composed; that of `learned` for a model.

    Args:
        name: one of `method_names()` or `list_models()`, or the path of a `.safetensors` file.
        overrides: of its values, such as `neighbours=32`. A value that the rows of `tuned` have too takes their place
            in all of them.

    Raises:
        UsageError: no such method, or no such value.
    """
    if name in list_models() or name.endswith(".safetensors"):
        return method_config(LEARNED, overrides) | {"model": name}
    if name not in method_names():
        there = f"{', '.join(method_names())}, the models {', '.join(list_models())}"
        raise UsageError(f"there is no method {name!r}; choose from {there}, or give a .safetensors file")
    text = (config_dir() / "method" / f"{name}.yaml").read_text()
    known = sorted(re.findall(r"^(\w+):", text, flags=re.MULTILINE))[1:]
    for word in overrides:
        if word.partition("=")[0].split(".")[0] not in known:
            values = f"its values are {', '.join(known)}" if known else "it has no values"
            raise UsageError(f"the method {name!r} does not take {word!r}; {values}")
    config: dict[str, Any] = compose("method", [f"method={name}", *(f"method.{word}" for word in overrides)])["method"]
    given = {word.partition("=")[0] for word in overrides}
    if "tuned" in config and "tuned" not in given:
        config["tuned"] = [{key: row[key] for key in row if key not in given} for row in config["tuned"]]
    return config


def denoising_method(name: str, overrides: Sequence[str] = ()) -> Method:
    """The method of `method_config` with the same arguments.

    Raises:
        UsageError: as there, or a value out of its range.
    """
    method: Method = instantiate(method_config(name, overrides))
    return method
