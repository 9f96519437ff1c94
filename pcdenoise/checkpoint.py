"""Checkpoints are data: tensors in safetensors, and a JSON header inside the same file."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import ModelError, OutputError

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 1
_HEADER = "pcdenoise"

Values = TypeVar("Values")


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, shapes, types and bytes of the arrays, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")  # ascontiguousarray would give a number a dimension
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def save_checkpoint(path: Path, tensors: Mapping[str, "Tensor"], header: Mapping[str, Any]) -> None:
    """Write tensors and header to one file, whole or not at all.

    Args:
        path: ends in `.safetensors`.
        tensors: name -> tensor.
        header: anything JSON can hold: architecture, configuration, provenance. `format` and `sha256` are added.

    Raises:
        OutputError: the file cannot be written.
    """
    from safetensors.numpy import save

    arrays = {name: value.detach().cpu().contiguous().numpy() for name, value in tensors.items()}
    data = save(arrays, {_HEADER: json.dumps({**header, "format": FORMAT, "sha256": digest(arrays)})})
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}; free space or choose another folder") from None


def load_checkpoint(path: Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read what `save_checkpoint` wrote: tensors and header.

    Raises:
        ModelError: see `load_arrays`.
    """
    import torch

    arrays, header = load_arrays(path)
    return {name: torch.from_numpy(its) for name, its in arrays.items()}, header


def load_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The same with arrays in place of tensors, and without torch.

    Raises:
        ModelError: missing, corrupt, foreign, or written by a newer pcdenoise.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(
            f"there are no weights at {path}; give a name that `pcdenoise denoise --help` lists or a .safetensors file"
        )
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} is not a readable safetensors file ({error}); fetch or train the weights again"
        ) from None
    if _HEADER not in metadata:
        raise ModelError(f"{path} was not written by pcdenoise; give weights that `pcdenoise train` made")
    header = json.loads(metadata[_HEADER])
    if header["format"] > FORMAT:
        raise ModelError(f"{path} was written by a newer pcdenoise; upgrade with: pip install -U pcdenoise")
    if header["sha256"] != digest(arrays):
        raise ModelError(f"{path} is damaged (its checksum differs); fetch or train the weights again")
    return arrays, header


def select(tensors: Mapping[str, Values], prefix: str) -> dict[str, Values]:
    """The tensors or arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load_weights(
    model: "nn.Module", tensors: Mapping[str, "Tensor | NDArray[Any]"], path: Path, *, part: bool = False
) -> None:
    """Load a state dictionary into a model.

    Args:
        model: to load into.
        tensors: name -> tensor or array.
        path: where they come from, for messages.
        part: leave what the tensors lack as it is, for they are of a smaller model.

    Raises:
        ModelError: names or shapes differ; names the first that does.
    """
    import torch

    own = model.state_dict()
    for name in sorted(tensors.keys() if part else own.keys() | tensors.keys()):
        mine, theirs = own.get(name), tensors.get(name)
        if mine is None or theirs is None or tuple(mine.shape) != tuple(theirs.shape):
            shapes = [None if t is None else tuple(t.shape) for t in (mine, theirs)]
            raise ModelError(
                f"{path} was made for another architecture: {name} is {shapes[1]} there and {shapes[0]} in the model; "
                "give the configuration it was trained with"
            )
    model.load_state_dict({**own, **{name: torch.as_tensor(its) for name, its in tensors.items()}})
