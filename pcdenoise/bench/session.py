"""A benchmark from its configuration to its files."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.bench.entrants import Entrant, entrants_of
from pcdenoise.bench.environment import environment, version
from pcdenoise.bench.formats import cell_rows, csv_text, latex, markdown, summary_rows
from pcdenoise.bench.log import Log, Record, without_nan
from pcdenoise.bench.page import Page, Picture, failure_text
from pcdenoise.bench.plots import error_against_noise, error_against_time, svg
from pcdenoise.bench.published import CAVEAT, PublishedResult, published_results
from pcdenoise.bench.runner import Progress, run
from pcdenoise.bench.scenes import FILES, Condition, Scene, conditions_of, measured_scenes, noisy_scenes
from pcdenoise.bench.summary import COSTS, Results, Table, check_columns
from pcdenoise.config import instantiate
from pcdenoise.datasets.noise_models import NoiseModel
from pcdenoise.datasets.pairs import PairSource
from pcdenoise.datasets.pu_net import SHAPES, PUNet
from pcdenoise.datasets.surfaces import Progress as Reading
from pcdenoise.datasets.surfaces import Surface
from pcdenoise.errors import InputError, OutputError, UsageError
from pcdenoise.io import replacing
from pcdenoise.metrics.table import METRICS

LOG, CLOUDS = "cells.jsonl", "clouds"
ALL = "all"
FLOOR_NOTE = (
    "The floor: projection is an oracle that puts each noisy point onto the true surface, sampling another clean cloud "
    "of that surface; identity is the noisy cloud. Differences below what these two leave are sampling noise."
)
LOST_NOTE = "lost (n): n cells failed or hold NaN; no mean is made of the others."
MEMORY_NOTE = (
    "Seconds: the method alone, on arrays in memory, after a first run that did not count. Peak memory: the most by "
    "which the resident set of the process grew meanwhile."
)

Draw = Callable[[NDArray[np.float64], NDArray[np.float64], Path], None]
"""Writes a PNG of points (n, 3), seen from where the clean ones (m, 3) are best seen."""


@dataclass(frozen=True)
class Outcome:
    """What a benchmark has found.

    Attributes:
        results: all records.
        columns: what tables show, costs last.
        tables: means.
        differences: from the baseline; empty without one.
        notes: what must be said beside the tables.
        pictured: noisy clouds whose results were kept.
        output: the folder.
    """

    results: Results
    columns: Sequence[str]
    tables: Sequence[Table]
    differences: Sequence[Table]
    notes: Sequence[str]
    pictured: Sequence[Scene]
    output: Path


@dataclass(frozen=True)
class Plan:
    """What is to be run; making it refuses whatever can be refused before the work.

    Attributes:
        config: `conf/bench.yaml`, composed.
        surfaces: the whole data set.
        shapes: names of those that take part.
        models: noise of each condition.
        measured: noisy clouds that the data set has itself, if they were asked for.
        entrants: the floor and the methods.
    """

    config: Mapping[str, Any]
    surfaces: Sequence[Surface]
    shapes: Sequence[str]
    models: dict[Condition, NoiseModel]
    measured: Sequence[Scene]
    entrants: Sequence[Entrant]

    @classmethod
    def of(cls, config: Mapping[str, Any], reading: Reading | None = None) -> "Plan":
        """Read the data set and load the methods.

        Args:
            config: `conf/bench.yaml`, composed.
            reading: told how far the data set is read.

        Raises:
            UsageError: a value, method, metric, shape or noise model that does not exist.
            InputError: the data set is missing, damaged, incomplete or empty.
            ModelError: weights that are missing or unreadable.
        """
        _check_values(config)
        check_columns(config["columns"])
        noises = _listed(config["noises"])
        models = conditions_of([n for n in noises if n != FILES], config["level"], config["resolution"])
        # the methods before the data: reading those can take long
        entrants_of(_listed(config["methods"]), told=config["told"], meshes=True)
        source = instantiate(config["dataset"])
        if FILES in noises and not isinstance(source, PairSource):
            raise UsageError(f"this data set has no noisy clouds of its own; give noise models instead of {FILES}")
        surfaces: list[Surface] = source.surfaces(reading)
        if not surfaces:
            raise InputError("the data set has no shapes; check dataset.root")
        shapes = _chosen([surface.name for surface in surfaces], config["shapes"])
        measured = list(measured_scenes(source.pairs(reading), surfaces, shapes)) if FILES in noises else []
        meshes = [s.mesh is not None for s in surfaces if s.name in shapes and models]
        meshes += [scene.mesh is not None for scene in measured]
        entrants = entrants_of(_listed(config["methods"]), told=config["told"], meshes=all(meshes))
        plan = cls(config, surfaces, shapes, models, measured, entrants)
        Results([], entrants, plan.conditions, baseline=plan.baseline)  # refuses a wrong baseline
        return plan

    @property
    def conditions(self) -> list[Condition]:
        """The columns of the tables."""
        return [*self.models, *dict.fromkeys(scene.condition for scene in self.measured)]

    @property
    def cells(self) -> int:
        """How many there are."""
        made = len(self.models) * len(self.config["seeds"]) * len(self.shapes)
        return (made + len(self.measured)) * len(self.entrants)

    @property
    def baseline(self) -> str:
        """The entrant that others are compared with: the first one, unless another was asked for."""
        methods = [entrant.name for entrant in self.entrants if not entrant.is_floor]
        first = methods[0] if len(methods) > 1 else ""
        return str(self.config["baseline"] or first)

    @property
    def published(self) -> list[PublishedResult]:
        """Figures of papers that belong beside ours."""
        shown = self.config["published"] and self.config["dataset"]["_target_"].endswith(f".{PUNet.__name__}")
        return published_results() if shown else []

    def run(self, progress: Progress = lambda done, what: None) -> Outcome:
        """Run what is not yet in the log of the output folder, and make the tables.

        Raises:
            InputError: the log is damaged.
            OutputError: the folder cannot be written.
        """
        output = Path(self.config["output"])
        pictured: list[Scene] = []
        wanted = self._pictured()

        def keep(scene: Scene) -> Path | None:
            if (scene.shape, scene.condition, scene.seed) not in wanted:
                return None
            pictured.append(scene)
            return output / CLOUDS

        scenes = noisy_scenes(self.surfaces, self.shapes, self.models, self.config["seeds"])
        log = Log(output / LOG)
        shown = self.config["columns"]
        metrics = METRICS if self.config["metrics"] == ALL else [metric for metric in METRICS if metric.name in shown]
        records = run(chain(scenes, self.measured), self.entrants, log, version(), metrics, keep, progress)
        results = Results(records, self.entrants, self.conditions, self.config["apart"], self.baseline)
        columns = [
            *dict.fromkeys(self.config["columns"]),
            *(cost for cost in COSTS if cost not in self.config["columns"]),
        ]
        tables = [results.table(column, self.published) for column in columns]
        differences = [results.difference_table(c) for c in columns if c not in COSTS] if self.baseline else []
        return Outcome(results, columns, tables, differences, self._notes(results), pictured, output)

    def _pictured(self) -> set[tuple[str, Condition, int]]:
        """Some shapes, evenly chosen, under the strongest noise of the first kind."""
        count = min(self.config["pictures"], len(self.shapes))
        if not self.models or not count:
            return set()
        first = next(iter(self.models))
        alike = [c for c in self.models if (c.resolution, c.noise) == (first.resolution, first.noise)]
        strongest = max(alike, key=lambda condition: condition.level or 0)
        chosen = [self.shapes[i * len(self.shapes) // count] for i in range(count)]
        return {(shape, strongest, self.config["seeds"][0]) for shape in chosen}

    def _notes(self, results: Results) -> list[str]:
        told = any(entrant.told for entrant in self.entrants)
        blind = "Blind: no method is told anything about the noise"
        notes = [
            blind + (", but for those marked (told), which are told its true standard deviation." if told else ".")
        ]
        if any(entrant.name == "projection" for entrant in self.entrants):
            notes.append(FLOOR_NOTE)
        notes.append(MEMORY_NOTE)
        if results.failures:
            notes.append(LOST_NOTE)
        if self.published:
            notes.append(CAVEAT)
            if len(results.shapes) != SHAPES["test"]:
                notes.append(f"Published means are of {SHAPES['test']} shapes, these of {len(results.shapes)}.")
        versions = {record.version for record in results.records}
        if len(versions) > 1:
            notes.append(f"Cells were run with several versions: {', '.join(sorted(versions))}.")
        return notes

    def facts(self) -> dict[str, Any]:
        """Versions, hardware, seeds, and the configuration."""
        return environment() | {"seeds": list(self.config["seeds"]), "config": dict(self.config)}


def write_reports(plan: Plan, outcome: Outcome, draw: Draw | None = None) -> dict[str, Path]:
    """Write all tables of a benchmark into its folder.

    Args:
        plan: of the benchmark.
        outcome: of the same one.
        draw: makes thumbnails; where it fails, the page goes without them and says why.

    Returns:
        What each file is -> where it is.

    Raises:
        OutputError: a file cannot be written.
    """
    results, facts = outcome.results, plan.facts()
    tables = [*outcome.tables, *outcome.differences]
    methods = {
        e.name: {"config": e.config, "source": e.method.source, "parameters": e.parameters} for e in plan.entrants
    }
    summary = summary_rows(results, outcome.columns)
    published = [vars(result) for result in plan.published if any(result.at(c) for c in plan.conditions)]
    report = {"environment": facts, "notes": list(outcome.notes), "methods": methods, "means": summary}
    report |= {"published": published, "cells": [vars(record) for record in results.records]}
    texts = {
        "table.csv": csv_text(summary),
        "cells.csv": csv_text(cell_rows(results.records)),
        "results.json": json.dumps(without_nan(report), indent=1, allow_nan=False, default=str) + "\n",
        "table.md": markdown(tables, [*outcome.notes, *map(_line, results.failures)]),
        "table.tex": latex(tables, outcome.notes),
        "index.html": _page(plan, outcome, facts, draw).html(),
    }
    return {name: _write(outcome.output / name, text) for name, text in texts.items()}


def _page(plan: Plan, outcome: Outcome, facts: dict[str, Any], draw: Draw | None) -> Page:
    results = outcome.results
    noise_plot = error_against_noise(results)
    plots = {"Chamfer distance against time": svg(error_against_time(results))}
    if noise_plot is not None:
        plots["Chamfer distance against noise"] = svg(noise_plot)
    shown = [column for column in outcome.columns if column not in COSTS]
    described = {}
    for entrant in plan.entrants:
        values = ", ".join(
            f"{key} {value}" for key, value in entrant.config.items() if key not in ("_target_", "floor")
        )
        trained = f"; {entrant.parameters:,} trained parameters" if entrant.parameters else ""
        described[entrant.name] = f"{entrant.method.source}{f' ({values})' if values else ''}{trained}"
    pictures, without_pictures = [], "No pictures were asked for."
    if draw and outcome.pictured:
        try:
            pictures = _pictures(outcome, plan.entrants, draw)
        except Exception as reason:  # hours of work do not fail for a thumbnail
            without_pictures = f"Nothing can be drawn here: {reason}"
    return Page(
        title=f"Benchmark: {len(results.shapes)} shapes, {len(outcome.results.conditions)} conditions",
        notes=outcome.notes,
        tables=outcome.tables,
        differences=outcome.differences,
        shape_tables=[results.shape_table(column, c) for column in shown for c in results.conditions],
        plots=plots,
        pictures=pictures,
        without_pictures=without_pictures,
        failures=results.failures,
        facts={key: _words(value) for key, value in facts.items()},
        methods=described,
    )


def _pictures(outcome: Outcome, entrants: Sequence[Entrant], draw: Draw) -> list[Picture]:
    keys = {(r.method, r.shape, r.condition, r.seed): r.key for r in outcome.results.records}
    pictures = []
    for scene in outcome.pictured:
        group = f"{scene.shape}, {scene.condition}"
        folder = outcome.output / CLOUDS
        clouds = {"clean": (scene.clean, folder / f"{scene.fingerprint}.png")}
        for entrant in entrants:
            path = folder / f"{keys[entrant.name, scene.shape, scene.condition, scene.seed]}.npy"
            if entrant.name != "sampling" and path.is_file():
                clouds[entrant.name] = np.load(path).astype(np.float64), path.with_suffix(".png")
        for name, (points, path) in clouds.items():
            draw(points, scene.clean, path)
            pictures.append(Picture(group, name, path.read_bytes()))
    return pictures


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _line(record: Record) -> str:
    return f"Lost: {failure_text(record)}"


def _write(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _listed(value: Any) -> list[str]:
    return [str(part) for part in (value if isinstance(value, list | tuple) else [value])]


def _chosen(names: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    unknown = [name for name in wanted or () if name not in names]
    if unknown:
        raise UsageError(f"there is no shape {unknown[0]!r} in the data set; choose from {', '.join(names)}")
    return [name for name in names if wanted is None or name in wanted]


def _check_values(config: Mapping[str, Any]) -> None:
    """Refuse what YAML lets through: words for numbers, one for several, none at all."""
    kinds: dict[str, tuple[type, ...]] = {"level": (int, float), "resolution": (int,), "seeds": (int,)}
    for key, kind in kinds.items():
        values = config[key]
        if key == "resolution" and values is None:
            continue
        fine = (
            isinstance(values, list) and values and all(isinstance(v, kind) and not isinstance(v, bool) for v in values)
        )
        if not fine or min(values) < (1 if key == "resolution" else 0):
            example = {"level": "[0.01,0.02]", "resolution": "[10000]", "seeds": "[0]"}[key]
            raise UsageError(f"{key} is {values!r}; give a list of numbers such as {key}={example}")
    for key in ("methods", "noises"):
        if not _listed(config[key]) or config[key] is None:
            raise UsageError(f"{key} is {config[key]!r}; give at least one name")
    for key in ("told", "published"):
        if not isinstance(config[key], bool):
            raise UsageError(f"{key} is {config[key]!r}; give true or false")
    if config["metrics"] not in (ALL, "columns"):
        raise UsageError(f"metrics is {config['metrics']!r}; give all or columns")
    if not isinstance(config["pictures"], int) or config["pictures"] < 0:
        raise UsageError(f"pictures is {config['pictures']!r}; give a whole number from 0")
    output = Path(str(config["output"]))
    nearest = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise OutputError(f"{nearest} is not a folder that may be written to; choose another with output=")
