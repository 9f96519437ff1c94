"""The models that come with the package, and any other weights."""

import ctypes
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from pcdenoise.checkpoint import load_arrays, load_weights, select
from pcdenoise.config import instantiate
from pcdenoise.denoisers.fused import fused_denoiser
from pcdenoise.errors import ModelError, UsageError
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.score import Sampler, check_fits, named

if TYPE_CHECKING:
    from pcdenoise.denoisers.engine import Engine
    from pcdenoise.networks.score_network import ScoreNetwork

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "flagship"
CUDA_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


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


def read_weights(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Weights, and the header that says which network they are for.

    Raises:
        ModelError: no such file, corrupt, foreign, or of no network.
    """
    arrays, header = load_arrays(path)
    if "network" not in header:
        raise ModelError(f"{path} does not say which network it is for; give weights that `pcdenoise train` made")
    # A training checkpoint holds the raw weights too; the moving average is what was validated.
    return select(arrays, "average.") or arrays, header


def load_model(
    model: str | Path = "auto", device: str = "auto", sampler: Sampler | None = None, **options: Any
) -> "Engine":
    """A denoiser from weights.

    Args:
        model: `auto`, one of `list_models()`, or the path of a `.safetensors` file that training wrote.
        device: `auto` (a GPU where there is one), `cpu` or `cuda`.
        sampler: how the score field is followed; None for the sampler that the weights were validated with.
        options: further arguments of the engine, `LearnedDenoiser` or `PatchwiseDenoiser`.

    Returns:
        A `FusedDenoiser` where that does the same, on a CPU.

    Raises:
        ModelError: no such weights, corrupt or foreign ones.
        UsageError: an unknown device, `cuda` where there is none, or a sampler that needs what the network cannot do.
    """
    path = model_path(model)
    weights, header = read_weights(path)
    where, network = _device(device), partial(_network, path, weights, header["network"])
    fused = fused_denoiser(weights, header["network"], network, options) if where == "cpu" else None
    if fused is not None and _sampler(sampler, header) == Ascent():
        return fused
    from pcdenoise.denoisers.engine import engine_of

    built, chosen = network(), _sampler(sampler, header)
    check_fits(type(chosen).__name__, chosen.needs, f"the {named(header['network'])} of {path.stem}", built.offers)
    return engine_of(built.to(where), where, chosen, **options)


def _sampler(given: Sampler | None, header: dict[str, Any]) -> Sampler:
    sampler: Sampler = instantiate(header["sampler"]) if given is None else given
    return sampler


def _network(path: Path, weights: dict[str, NDArray[Any]], configuration: dict[str, Any]) -> "ScoreNetwork":
    network: ScoreNetwork = instantiate(configuration)
    load_weights(network, weights, path)
    return network.eval().requires_grad_(False)


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device {name!r}; give auto, cpu or cuda")
    if name == "cpu" or (name == "auto" and not _driver()):
        return "cpu"
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available; use --device cpu, or install torch with CUDA")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _driver() -> bool:
    """Whether there is a driver of CUDA: without it torch, which takes seconds to import, need not be asked."""
    try:
        ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return False
    return True
