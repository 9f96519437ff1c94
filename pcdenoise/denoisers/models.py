"""The models that come with the package, and any other weights."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcdenoise.checkpoint import load_checkpoint, load_weights, select
from pcdenoise.config import instantiate
from pcdenoise.denoisers.engine import Engine, engine_of
from pcdenoise.errors import ModelError, UsageError
from pcdenoise.score import Sampler, check_fits, named

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "flagship"


def list_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def model_path(model: str | Path = "auto") -> Path:
    """The file of a model, which `load_model` takes by the same name.

    Raises:
        ModelError: there is none.
    """
    name = DEFAULT_MODEL if str(model) == "auto" else str(model)
    path = WEIGHTS / f"{name}.safetensors" if name in list_models() else Path(name)
    if not path.is_file():
        raise ModelError(f"there is no model {name!r}; give one of {', '.join(list_models())} or a .safetensors file")
    return path


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights, and the header that says which network they are for.

    Raises:
        ModelError: no such file, corrupt, foreign, or of no network.
    """
    tensors, header = load_checkpoint(path)
    if "network" not in header:
        raise ModelError(f"{path} does not say which network it is for; give weights that `pcdenoise train` made")
    # A training checkpoint holds the raw weights too; the moving average is what was validated.
    return select(tensors, "average.") or tensors, header


def load_model(
    model: str | Path = "auto", device: str = "auto", sampler: Sampler | None = None, **options: Any
) -> Engine:
    """A denoiser from weights.

    Args:
        model: `auto`, one of `list_models()`, or the path of a `.safetensors` file that training wrote.
        device: `auto` (a GPU where there is one), `cpu` or `cuda`.
        sampler: how the score field is followed; None for the sampler that the weights were validated with.
        options: further arguments of the engine, `LearnedDenoiser` or `PatchwiseDenoiser`.

    Raises:
        ModelError: no such weights, corrupt or foreign ones.
        UsageError: an unknown device, `cuda` where there is none, or a sampler that needs what the network cannot do.
    """
    path = model_path(model)
    tensors, header = read_weights(path)
    network = instantiate(header["network"])
    load_weights(network, tensors, path)
    chosen = instantiate(header["sampler"]) if sampler is None else sampler
    check_fits(type(chosen).__name__, chosen.needs, f"the {named(header['network'])} of {path.stem}", network.offers)
    where = _device(device)
    return engine_of(network.eval().requires_grad_(False).to(where), where, chosen, **options)


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device {name!r}; give auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available; use --device cpu, or install torch with CUDA")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
