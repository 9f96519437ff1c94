"""What a benchmark has found, one line a cell: the file from which it goes on after an interruption."""

import json
import math
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pcdenoise.bench.scenes import Condition
from pcdenoise.errors import InputError, OutputError


@dataclass(frozen=True)
class Record:
    """One method on one noisy cloud.

    Attributes:
        key: of method and cloud, from their fingerprints.
        method: name of the entrant.
        shape: of the surface.
        resolution, noise, level: the condition.
        seed: of the noise.
        points: rows of the noisy cloud.
        lost: rows of the result that are NaN or infinite; if there are any, no metric is defined.
        error: why there is no result; empty where there is one.
        seconds: of the method alone, on arrays in memory, after a first run on a part of the cloud that did not count.
        peak_memory: bytes by which the resident set of the process grew at most while the method ran, what it had kept
            of earlier cells not included; None where the system does not tell.
        sigma: true noise per coordinate, in radii of the clean cloud.
        metrics: by name, each in its printed unit.
        version: of pcdenoise, with the git commit where there is one.
        finished: date and time, UTC.
    """

    key: str
    method: str
    shape: str
    resolution: int
    noise: str
    level: float | None
    seed: int
    points: int
    lost: int
    error: str
    seconds: float
    peak_memory: int | None
    sigma: float
    metrics: dict[str, float]
    version: str
    finished: str

    @property
    def condition(self) -> Condition:
        """Resolution, noise and level."""
        return Condition(self.resolution, self.noise, self.level)

    @property
    def is_lost(self) -> bool:
        """Whether no mean may be made of it."""
        return bool(self.error) or self.lost > 0

    def value(self, column: str) -> float | None:
        """A metric, `seconds` or `peak_memory` in MB; NaN for a lost cell, None for what is not defined here."""
        if self.is_lost:
            return math.nan
        if column == "peak_memory":
            return None if self.peak_memory is None else self.peak_memory / 2**20
        return self.seconds if column == "seconds" else self.metrics.get(column)


class Log:
    """Records in a file of JSON lines.

    Args:
        path: of the file; it is made with the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Record]:
        """The last record of each key.

        A last line that was not written to its end is dropped from the file.

        Raises:
            InputError: another line is damaged.
        """
        if not self.path.exists():
            return {}
        text = self.path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        records = {}
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = _decoded(json.loads(line))
            except (ValueError, TypeError, AttributeError) as error:
                raise InputError(f"line {number} of {self.path} is damaged ({error}); delete that line") from error
            records[record.key] = record
        return records

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(without_nan(asdict(record)), allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}; free space or choose output=") from error


def _decoded(values: dict[str, Any]) -> Record:
    metrics = {name: math.nan if value is None else value for name, value in values["metrics"].items()}
    known = {field.name for field in fields(Record)}
    return Record(**{key: value for key, value in values.items() if key in known} | {"metrics": metrics})


def without_nan(value: Any) -> Any:
    """JSON has no NaN: null says that a number is not defined."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
