"""What the README shows and the command line calls."""

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.denoisers.models import WEIGHTS, list_models, load_model
from pcdenoise.denoisers.noise_level import noise_level
from pcdenoise.denoisers.whole_cloud import Report, denoise_with_report, estimated_noise, local_points, passes_for
from pcdenoise.geometry.neighbours import knn

if TYPE_CHECKING:
    import torch

    from pcdenoise.denoisers.engine import Engine

__all__ = [
    "WEIGHTS",
    "Inspection",
    "Report",
    "denoise",
    "denoise_with_report",
    "estimated_noise",
    "inspect",
    "list_models",
    "load_model",
]

Cloud = TypeVar("Cloud", PointCloud, NDArray[Any], "torch.Tensor")


def denoise(cloud: Cloud, model: "str | Path | Engine" = "auto", device: str = "auto", **options: Any) -> Cloud:
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
    elif "torch" in sys.modules and isinstance(cloud, sys.modules["torch"].Tensor):
        result, report = denoise_with_report(PointCloud(cloud.detach().cpu().numpy()), denoiser, **options)
        moved = cloud.new_tensor(result.points)
    else:
        array = np.asarray(cloud)
        result, report = denoise_with_report(PointCloud(array), denoiser, **options)
        moved = result.points.astype(array.dtype if array.dtype.kind == "f" else np.float64)
    if report.note:
        warnings.warn(report.note, stacklevel=2)
    return moved  # type: ignore[no-any-return]


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
    frame, local, _ = local_points(cloud)
    finite = cloud.points[cloud.finite]
    level = noise_level(local)
    lower, upper = finite.min(axis=0), finite.max(axis=0)
    denoiser = load_model(model)
    if len(local) <= denoiser.neighbours:
        advice = f"leave it unchanged: {len(local)} distinct points are fewer than the network's neighbourhood"
    elif (passes := passes_for(level, denoiser)) == 0:
        advice = "leave it unchanged: no noise was found"
    else:
        advice = f"{passes} passes for a noise of {level:.2f} spacings"
    return Inspection(
        points=len(cloud),
        not_finite=len(cloud) - len(finite),
        duplicates=len(finite) - len(local),
        attributes={
            name: f"{a.dtype} {'x'.join(map(str, a.shape[1:]))}".strip() for name, a in cloud.attributes.items()
        },
        lower=tuple(map(float, lower)),
        upper=tuple(map(float, upper)),
        unit_guess=_unit_guess(lower, upper),
        spacing=frame.scale if len(local) > 1 else 0.0,
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
