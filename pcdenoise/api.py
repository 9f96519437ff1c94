"""What the README shows and the command line calls."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from pcdenoise.checkpoint import load_checkpoint, load_weights, select
from pcdenoise.cloud import PointCloud
from pcdenoise.config import instantiate
from pcdenoise.denoisers.engine import Engine, engine_of
from pcdenoise.denoisers.learned import part, told_sigma
from pcdenoise.errors import InputError, ModelError, UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.noise import estimate_noise
from pcdenoise.geometry.rotations import random_rotation
from pcdenoise.score import Sampler, check_fits, named

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = "edgeconv"
# Below this many spacings the noise cannot be told from the shape: such a cloud stays as it is.
CLEAN = 0.08
# No true position lies further off, in sigmas that the network was told of: a longer move comes from a neighbourhood
# that it does not know, such as a few points far from all others.
REACH = 6.0

Cloud = TypeVar("Cloud", PointCloud, NDArray[Any], torch.Tensor)


@dataclass(frozen=True)
class Report:
    """What was done to a cloud. Lengths are in the cloud's own unit.

    Attributes:
        points: rows of the cloud.
        skipped: rows that are not finite, left as they are.
        spacing: of the input.
        noise_before: blind estimate of the noise per coordinate.
        noise_after: the same for the result.
        passes: network passes made; 0 means that the cloud was returned unchanged.
        mean_move, largest_move: displacement.
        seconds: of estimating and denoising, without reading and writing.
        device: where the network ran.
        model: its name.
        note: why a cloud was returned unchanged, else empty.
    """

    points: int
    skipped: int
    spacing: float
    noise_before: float
    noise_after: float
    passes: int
    mean_move: float
    largest_move: float
    seconds: float
    device: str
    model: str
    note: str


def list_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


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
    name = DEFAULT_MODEL if str(model) == "auto" else str(model)
    path = WEIGHTS / f"{name}.safetensors" if name in list_models() else Path(name)
    if not path.is_file():
        raise ModelError(f"there is no model {name!r}; give one of {', '.join(list_models())} or a .safetensors file")
    tensors, header = load_checkpoint(path)
    if "network" not in header:
        raise ModelError(f"{path} does not say which network it is for; give weights that `pcdenoise train` made")
    network = instantiate(header["network"])
    # A training checkpoint holds the raw weights too; the moving average is what was validated.
    load_weights(network, select(tensors, "average.") or tensors, path)
    chosen = instantiate(header["sampler"]) if sampler is None else sampler
    check_fits(type(chosen).__name__, chosen.needs, f"the {named(header['network'])} of {name}", network.offers)
    where = _device(device)
    return engine_of(network.eval().requires_grad_(False).to(where), where, chosen, **options)


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device {name!r}; give auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available; use --device cpu, or install torch with CUDA")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def denoise(cloud: Cloud, model: str | Path | Engine = "auto", device: str = "auto", **options: Any) -> Cloud:
    """Clean a point cloud. Row i out is row i in; attributes are untouched.

    Args:
        cloud: a `PointCloud`, an (n, 3) array or an (n, 3) tensor, in any unit.
        model: see `load_model`, or what it returned.
        device: see `load_model`.
        options: see `denoise_with_report`.

    Returns:
        The same type as `cloud`, with the same dtype.

    Raises:
        InputError: not (n, 3), or no finite point.
        ModelError, UsageError: see `load_model`.
        OutOfMemoryError: not even the smallest tile fits into memory.
    """
    denoiser = load_model(model, device) if isinstance(model, str | Path) else model
    if isinstance(cloud, PointCloud):
        result, report = denoise_with_report(cloud, denoiser, **options)
        moved: Any = result
    elif isinstance(cloud, torch.Tensor):
        result, report = denoise_with_report(PointCloud(cloud.detach().cpu().numpy()), denoiser, **options)
        moved = torch.from_numpy(result.points).to(cloud)
    else:
        array = np.asarray(cloud)
        result, report = denoise_with_report(PointCloud(array), denoiser, **options)
        moved = result.points.astype(array.dtype if array.dtype.kind == "f" else np.float64)
    if report.note:
        warnings.warn(report.note, stacklevel=2)
    return moved  # type: ignore[no-any-return]


def denoise_with_report(
    cloud: PointCloud,
    denoiser: Engine,
    *,
    passes: str | int = "auto",
    strength: float = 1.0,
    max_move: float | None = None,
    rotations: int = 1,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
    model_name: str = "",
) -> tuple[PointCloud, Report]:
    """Clean a cloud and say what was done.

    Args:
        cloud: any unit; rows with NaN or infinity stay where they are.
        denoiser: from `load_model`.
        passes: `auto` (by the blind noise estimate; a clean cloud gets none) or a number from 0.
        strength: factor of the displacement, from 0 to 2.
        max_move: the largest displacement, in the cloud's unit.
        rotations: average over so many random orientations of the cloud; 1 takes it as it lies.
        seed: of the orientations and of what the sampler draws.
        progress: told the share of the work that is done.
        model_name: for the report.

    Raises:
        InputError: no finite point.
        UsageError: an option out of its range.
        OutOfMemoryError: not even the smallest tile fits into memory.
    """
    if not 0 <= strength <= 2:
        raise UsageError(f"strength is {strength}; give a number from 0 to 2")
    if max_move is not None and not max_move > 0:
        raise UsageError(f"max-move is {max_move}; give a positive length in the cloud's unit")
    if passes != "auto" and not (isinstance(passes, int) and 0 <= passes <= denoiser.passes):
        raise UsageError(f"passes is {passes}; give auto or a number from 0 to {denoiser.passes}")
    if rotations < 1:
        raise UsageError(f"rotations is {rotations}; give at least 1")
    started = time.perf_counter()
    finite = cloud.finite
    if not finite.any():
        raise InputError("the cloud has no finite point; check how it was exported")
    # Points that coincide have no direction between them: they move as one.
    distinct, inverse = _distinct(cloud.points[finite])
    frame = Frame.of(distinct)
    local = frame.to_local(distinct)
    level = estimate_noise(local)
    count = _passes(level, denoiser) if passes == "auto" else int(passes)
    note = ""
    if len(distinct) <= denoiser.neighbours:
        count = 0
        note = (
            f"the cloud has {len(distinct)} distinct points and the network looks at {denoiser.neighbours} neighbours; "
            "it is returned unchanged: give a denser cloud"
        )
    elif passes == "auto" and count == 0:
        note = "no noise was found; the cloud is returned unchanged: force a pass with passes=1"
    moved, after = local, level
    if count and strength:
        sigma = told_sigma(level, len(local))
        move = strength * (_average(denoiser, local, sigma, count, rotations, seed, progress) - local)
        limit = (
            REACH * sigma[:, None] if max_move is None else np.minimum(REACH * sigma[:, None], max_move / frame.scale)
        )
        length = np.linalg.norm(move, axis=1, keepdims=True)
        moved = local + move * np.minimum(1.0, limit / np.maximum(length, np.finfo(float).tiny))
        after = estimate_noise(moved)
    points = cloud.points.copy()
    # Adding the displacement leaves a point that did not move exactly where it was.
    points[finite] += (frame.scale * (moved - local))[inverse]
    distances = np.linalg.norm(points[finite] - cloud.points[finite], axis=1)
    report = Report(
        points=len(cloud),
        skipped=int((~finite).sum()),
        spacing=frame.scale,
        noise_before=level * frame.scale,
        noise_after=after * frame.scale,
        passes=count,
        mean_move=float(distances.mean()),
        largest_move=float(distances.max()),
        seconds=time.perf_counter() - started,
        device=str(denoiser.device),
        model=model_name,
        note=note,
    )
    return cloud.with_points(points), report


def _passes(level: float, denoiser: Engine) -> int:
    """Passes for a noise of `level` spacings, chosen on the validation shapes."""
    return 0 if level < CLEAN else denoiser.passes


def _average(
    denoiser: Engine,
    points: NDArray[np.float64],
    sigma: NDArray[np.float64],
    passes: int,
    rotations: int,
    seed: int,
    progress: Callable[[float], None],
) -> NDArray[np.float64]:
    """Denoised positions, averaged over orientations of the cloud."""
    if rotations == 1:
        return denoiser(points, sigma, passes, progress, seed)
    rng = np.random.default_rng(seed)
    total = np.zeros_like(points)
    for r in range(rotations):
        turn = random_rotation(rng)
        total += denoiser(points @ turn, sigma, passes, partial(part, progress, r, rotations), seed + r) @ turn.T
    return total / rotations


def _distinct(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp] | slice]:
    """Distinct positions in the order of their first row, and the position of each row among them."""
    order = np.lexsort(points.T)
    fresh = np.ones(len(points), dtype=bool)
    fresh[1:] = (np.diff(points[order], axis=0) != 0).any(axis=1)
    if fresh.all():
        return points, slice(None)
    # lexsort is stable: the first of each group is the one with the smallest row
    firsts = order[fresh]
    rank = np.empty(len(firsts), dtype=np.intp)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    inverse = np.empty(len(points), dtype=np.intp)
    inverse[order] = rank[np.cumsum(fresh) - 1]
    return points[np.sort(firsts)], inverse


@dataclass(frozen=True)
class Inspection:
    """What can be said of a cloud without changing it. Lengths are in the cloud's own unit.

    Attributes:
        points: rows.
        not_finite: rows with NaN or infinity.
        duplicates: rows that repeat the position of an earlier row.
        attributes: name -> type and shape of a row.
        lower, upper: corners of the bounding box of the finite rows.
        unit_guess: what the unit may be, from size and position alone.
        spacing: typical distance of neighbours.
        noise: blind estimate per coordinate.
        outlier_share: share of the points whose 8th neighbour is over 3 times as far as it is for their neighbours.
        advice: what `denoise` would do.
    """

    points: int
    not_finite: int
    duplicates: int
    attributes: dict[str, str]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    unit_guess: str
    spacing: float
    noise: float
    outlier_share: float
    advice: str


def inspect(cloud: PointCloud, model: str | Path = "auto") -> Inspection:
    """Measure a cloud.

    Raises:
        InputError: no finite point.
    """
    finite = cloud.points[cloud.finite]
    if len(finite) == 0:
        raise InputError("the cloud has no finite point; check how it was exported")
    distinct, _ = _distinct(finite)
    frame = Frame.of(distinct)
    local = frame.to_local(distinct)
    level = estimate_noise(local)
    lower, upper = finite.min(axis=0), finite.max(axis=0)
    denoiser = load_model(model)
    if len(distinct) <= denoiser.neighbours:
        advice = f"leave it unchanged: {len(distinct)} distinct points are fewer than the network's neighbourhood"
    elif (passes := _passes(level, denoiser)) == 0:
        advice = "leave it unchanged: no noise was found"
    else:
        advice = f"{passes} passes for a noise of {level:.2f} spacings"
    return Inspection(
        points=len(cloud),
        not_finite=len(cloud) - len(finite),
        duplicates=len(finite) - len(distinct),
        attributes={
            name: f"{a.dtype} {'x'.join(map(str, a.shape[1:]))}".strip() for name, a in cloud.attributes.items()
        },
        lower=tuple(map(float, lower)),
        upper=tuple(map(float, upper)),
        unit_guess=_unit_guess(lower, upper),
        spacing=frame.scale if len(distinct) > 1 else 0.0,
        noise=level * frame.scale,
        outlier_share=_outlier_share(local),
        advice=advice,
    )


def _unit_guess(lower: NDArray[np.float64], upper: NDArray[np.float64]) -> str:
    size, far = float((upper - lower).max()), float(np.abs([lower, upper]).max())
    if far > 1e5 and size < 1e5:
        return "metres in a projected coordinate system"
    if size <= 2.5:
        return "metres, or a normalised shape"
    return "metres" if size < 300 else "millimetres"


def _outlier_share(points: NDArray[np.float64], k: int = 8) -> float:
    if len(points) <= k:
        return 0.0
    distances, indices = knn(points, k)
    reach = distances[:, -1]
    return float((reach > 3 * np.median(reach[indices], axis=1)).mean())
