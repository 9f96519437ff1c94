"""Every method on every noisy cloud."""

import hashlib
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdenoise.bench.entrants import Entrant, SecondSampling
from pcdenoise.bench.log import Log, Record
from pcdenoise.bench.memory import resident_growth
from pcdenoise.bench.scenes import Scene
from pcdenoise.errors import PcdenoiseError
from pcdenoise.geometry.frame import Frame
from pcdenoise.metrics.evaluation import evaluate
from pcdenoise.metrics.table import METRICS, Metric

WARM = 2000  # points of the run that does not count

Progress = Callable[[int, str], None]
"""Told the number of finished cells and what comes next."""


def run(
    scenes: Iterable[Scene],
    entrants: Sequence[Entrant],
    log: Log,
    version: str,
    metrics: Sequence[Metric] = METRICS,
    keep: Callable[[Scene], Path | None] = lambda scene: None,
    progress: Progress = lambda done, what: None,
) -> list[Record]:
    """Fill the log with what it lacks; cells that failed are tried again.

    Args:
        scenes: noisy clouds.
        entrants: methods.
        log: of finished cells.
        version: for the records.
        metrics: what is measured.
        keep: the folder into which the results of a scene go, `<key>.npy`; None where they are not kept.
        progress: see `Progress`.

    Returns:
        The records of these scenes and entrants, old ones and new ones.

    Raises:
        InputError, OutputError: the log cannot be read or written. What goes wrong in a cell is in its record.
    """
    known, warm, records = log.read(), set[str](), list[Record]()
    measured = "" if len(metrics) == len(METRICS) else " ".join(["", *sorted(metric.name for metric in metrics)])
    for scene in scenes:
        folder = keep(scene)
        for entrant in entrants:
            progress(len(records), f"{entrant.name} on {scene.shape}, {scene.condition}")
            identity = f"{entrant.fingerprint} {scene.fingerprint} {scene.seed}{measured}"
            key = hashlib.sha256(identity.encode()).hexdigest()[:16]
            found = known.get(key)
            if found is None or found.error:
                if entrant.name not in warm:
                    _warm_up(entrant, scene)
                    warm.add(entrant.name)
                found = _cell(key, entrant, scene, version, metrics, folder)
                log.append(found)
            records.append(found)
    progress(len(records), "")
    return records


def _warm_up(entrant: Entrant, scene: Scene) -> None:
    """Compiling and loading is not the method's time. What fails here fails again in the cell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _result(entrant, scene, scene.noisy[:: max(1, len(scene.noisy) // WARM)])
    except Exception:
        return


def _result(entrant: Entrant, scene: Scene, points: NDArray[np.float64]) -> NDArray[np.float64]:
    mesh = scene.mesh if "mesh" in entrant.method.needs else None
    return entrant.method(points, scene.sigma if entrant.told else None, mesh, scene.seed)


def _cell(
    key: str, entrant: Entrant, scene: Scene, version: str, metrics: Sequence[Metric], folder: Path | None
) -> Record:
    numbers: dict[str, float] = {}
    error, lost, seconds = "", 0, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in the record
        try:
            with resident_growth() as growth:
                started = time.perf_counter()
                result = _result(entrant, scene, scene.noisy.copy())
                seconds = time.perf_counter() - started
            is_denoised = not isinstance(entrant.method, SecondSampling)
            found = evaluate(
                result,
                scene.clean,
                scene.mesh,
                scene.noisy if is_denoised else None,
                scene.normals,
                floor=False,
                metrics=metrics,
            )
            numbers, lost = found.result, found.not_finite
        except PcdenoiseError as reason:
            error = str(reason)
        except Exception as reason:  # whatever a method does wrong must not stop the others
            error = f"{type(reason).__name__}: {reason}"
    if folder is not None and not error:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{key}.npy", result.astype(np.float32))
    return Record(
        key=key,
        method=entrant.name,
        shape=scene.shape,
        resolution=scene.condition.resolution,
        noise=scene.condition.noise,
        level=scene.condition.level,
        seed=scene.seed,
        points=len(scene.noisy),
        lost=lost,
        error=" ".join(error.split()),
        seconds=seconds,
        peak_memory=growth.bytes,
        sigma=scene.sigma / Frame.unit_sphere(scene.clean).scale,
        metrics=numbers,
        version=version,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
