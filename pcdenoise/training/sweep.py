"""Several training runs, one for each combination of values."""

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdenoise.config import compose, config_dir
from pcdenoise.errors import PcdenoiseError, UsageError

TABLE = "sweep.csv"


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        values: key -> value of what the runs differ in.
        config: `conf/train.yaml`, composed; `output` is the folder that all runs share or would share.
    """

    values: Mapping[str, str]
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """`key=value,key=value`, as Hydra names the folder of a job."""
        return ",".join(f"{key}={value}" for key, value in sorted(self.values.items())).replace(os.sep, "_")

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return Path(self.config["output"]) / self.name


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Attributes:
        job: which.
        score: of the best weights, see `Validation`; None where it failed.
        step: of the best weights; None where it failed.
        error: why it failed, else empty.
    """

    job: Job
    score: float | None
    step: int | None
    error: str


def jobs_of(words: Sequence[str]) -> list[Job]:
    """The runs that overrides stand for in which keys have several values: every combination of them.

    The grammar is Hydra's: `key=a,b`, `key=range(1,4)`, `key=choice(a,b)`, `key=glob(*)`.

    Raises:
        UsageError: no key has several values, a configuration cannot be composed, or two runs have one folder.
    """
    jobs = [Job(values, compose("train", overrides)) for values, overrides in _combinations(words)]
    folders = [job.folder for job in jobs]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(f"two runs of the sweep would write to {folder}; give each value once")
    return jobs


def sweep(jobs: Sequence[Job], train: Callable[[Mapping[str, Any]], Path]) -> tuple[list[Result], Path]:
    """Train one after another; a run that fails does not stop the others.

    Args:
        jobs: from `jobs_of`.
        train: trains as a configuration says and returns the path of the best weights.

    Returns:
        What became of each, and the path of the table that says so, which is written anew after each.
    """
    table = Path(os.path.commonpath([job.folder.parent.absolute() for job in jobs])) / TABLE
    results: list[Result] = []
    for job in jobs:
        results.append(_result(job, train))
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*job.values, "score", "step", "folder", "error"])
            writer.writerows([*r.job.values.values(), r.score, r.step, r.job.folder, r.error] for r in results)
    return results, table


def _result(job: Job, train: Callable[[Mapping[str, Any]], Path]) -> Result:
    try:
        weights = train({**job.config, "output": str(job.folder)})
    except PcdenoiseError as error:
        return Result(job, None, None, str(error))
    except Exception as error:  # whatever befalls one run, the next may be spared
        return Result(job, None, None, f"unforeseen {type(error).__name__}: {error}")
    best = json.loads(weights.with_suffix(".json").read_text())["validation"]
    return Result(job, best["score"], best["step"], "")


def _combinations(words: Sequence[str]) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Values of the swept keys, and all overrides, of each run."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            overrides = {override.get_key_element(): override for override in parser.parse_overrides(list(words))}
            swept = {
                key: list(override.sweep_string_iterator())
                for key, override in overrides.items()
                if override.is_sweep_override()
            }
    except HydraException as error:
        raise UsageError(f"the sweep cannot be read: {' '.join(str(error).split())}") from None
    if not swept:
        raise UsageError("there is nothing to sweep; give a key several values, such as loss=dsm,ncsn")
    fixed = [str(override.input_line) for key, override in overrides.items() if key not in swept]
    for values in itertools.product(*swept.values()):
        chosen = dict(zip(swept, values, strict=True))
        yield chosen, [*fixed, *(f"{key}={value}" for key, value in chosen.items())]
