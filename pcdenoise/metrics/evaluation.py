"""One result beside everything it can be judged by: the truth, what it was made from, and the floor."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.placement import Placement, check_one_place
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.floor import projection, sampling
from pcdenoise.metrics.table import METRICS, Metric, applicable, measure


@dataclass(frozen=True)
class Evaluation:
    """The numbers of a result and of what stands beside it, each in the printed unit of its `Metric`, by name.

    Attributes:
        points: rows of the result that were to be measured.
        left_out: other rows, which had no coordinates before either (NaN in the noisy or the clean cloud too).
        not_finite: rows of `points` that are NaN or infinite. If there are any, all numbers of the result are NaN:
            what a method lost must not make it better.
        radius: R of the clean cloud, in its unit.
        result: the numbers.
        beside: those of `noisy` (the cloud it was made from), `projection` (an oracle that projects the noisy points
            onto the mesh) and `sampling` (another clean sampling of the mesh, with as many points), as far as there
            are a noisy cloud and a mesh.
    """

    points: int
    left_out: int
    not_finite: int
    radius: float
    result: dict[str, float]
    beside: dict[str, dict[str, float]]


def evaluate(
    result: NDArray[Any],
    clean: NDArray[Any],
    mesh: tuple[NDArray[Any], NDArray[Any]] | None = None,
    noisy: NDArray[Any] | None = None,
    normals: NDArray[Any] | None = None,
    floor: bool = True,
    backend: Literal["exact", "pytorch3d"] = "exact",
    seed: int = 0,
    metrics: Sequence[Metric] = METRICS,
) -> Evaluation:
    """Measure a result with every metric that the given truth defines.

    Args:
        result: (n, 3) in the unit of the clean cloud; rows may be NaN.
        clean: (m, 3); rows that are NaN are not looked at.
        mesh: vertices (v, 3) and faces (f, 3) of the surface.
        noisy: (n, 3), row i became row i of the result.
        normals: (m, 3) of the clean cloud.
        floor: also measure what no method can beat, which takes as long as the result itself, twice.
        backend: what computes chamfer and P2M; the others have no counterpart in pytorch3d.
        seed: of the other clean sampling.
        metrics: those to choose from.

    Raises:
        UsageError: pytorch3d is asked for and not installed.
        InputError: nothing finite in a cloud, noisy and result differ in count, the mesh is not one, or result or mesh
            are in another unit or place than the clean cloud.

    Warns:
        UserWarning: rows are lost, or result and clean cloud differ in count.
    """
    numbers = _measures(backend, metrics)
    if noisy is not None and len(noisy) != len(result):
        raise InputError(
            f"the result has {len(result):,} points, the noisy cloud {len(noisy):,}; row i of one must be row i of the "
            "other, so give the noisy cloud it was made from, or none"
        )
    rows, measured = len(result), _finite(clean)
    if noisy is not None:
        before = _finite(noisy)
        result, noisy = result[before], noisy[before]
    elif len(result) == len(clean):
        result = result[measured | _finite(result)]
    clean, normals = clean[measured], None if normals is None else normals[measured]
    found = _finite(result)
    for name, cloud in {"result": result[found], "clean cloud": clean}.items():
        if len(cloud) == 0:
            raise InputError(f"the {name} has no finite point; there is nothing to compare")
    pair = Comparison(result[found], clean, mesh, None if noisy is None else noisy[found], normals)
    lost = int(len(found) - found.sum())
    if lost:
        warnings.warn(
            f"{lost:,} of {len(found):,} points of the result are NaN or infinite, so none of its numbers is defined; "
            "drop those rows to see what the others would score",
            stacklevel=2,
        )
    _check_place_and_unit(pair)
    if len(result) != len(clean):
        warnings.warn(
            f"the result has {len(result):,} points, the clean cloud {len(clean):,}; "
            "numbers of clouds are comparable where these are the same",
            stacklevel=2,
        )
    beside = {}
    if noisy is not None:
        beside["noisy"] = Comparison(noisy, clean, mesh, normals=normals)
    if mesh is not None and floor:
        if noisy is not None:
            beside["projection"] = Comparison(projection(noisy, *mesh), clean, mesh, noisy, normals)
        other = sampling(*mesh, len(result), seed)
        beside["sampling"] = Comparison(other, clean, mesh, normals=normals)
    return Evaluation(
        points=len(result),
        left_out=rows - len(result),
        not_finite=lost,
        radius=pair.frame.scale,
        result=dict.fromkeys((metric.name for metric in applicable(pair, metrics)), np.nan) if lost else numbers(pair),
        beside={name: numbers(other) for name, other in beside.items()},
    )


def _measures(backend: str, metrics: Sequence[Metric]) -> Callable[[Comparison], dict[str, float]]:
    if backend == "exact":
        return lambda pair: measure(pair, metrics)
    from pcdenoise.metrics import pytorch3d_backend

    pytorch3d_backend.check_installed()
    return lambda pair: measure(pair, metrics) | pytorch3d_backend.published(pair)


def _finite(cloud: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(cloud).all(axis=1))


def _check_place_and_unit(pair: Comparison) -> None:
    """Raises InputError where numbers would be possible, but meaningless."""
    clean = Placement(pair.frame.centre, Placement.median(pair.clean).radius)
    check_one_place("the result", Placement.median(pair.result), "the clean cloud", clean)
    if pair.mesh is not None:
        mesh = Frame.unit_sphere(pair.mesh[0])
        whole = Placement(pair.frame.centre, pair.frame.scale)
        check_one_place("the mesh", Placement(mesh.centre, mesh.scale), "the clean cloud", whole)
