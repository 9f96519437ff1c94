"""A training run with its folder: logs, checkpoints, validation, the best weights."""

import csv
import json
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pcdenoise
from pcdenoise.checkpoint import load_weights, save_checkpoint
from pcdenoise.denoisers.engine import engine_of
from pcdenoise.denoisers.models import model_path, read_weights
from pcdenoise.errors import ModelError, OutputError, UsageError
from pcdenoise.training.data import TrainingData, read_data
from pcdenoise.training.loop import Progress
from pcdenoise.training.parallel import Processes, joined, training_device
from pcdenoise.training.recipe import Recipe
from pcdenoise.training.state import TrainingState

LAST, BEST, STEPS, VALIDATION = "last.safetensors", "best.safetensors", "steps.csv", "validation.csv"


@dataclass(frozen=True)
class Listener:
    """Who wants to know how the run goes; each may do nothing."""

    message: Callable[[str], None] = lambda text: None
    reading: Callable[[int, int, str], None] = lambda done, of, name: None
    step: Callable[[Progress, int], None] = lambda progress, of: None
    validated: Callable[[int, dict[str, float]], None] = lambda step, figures: None


def train(config: Mapping[str, Any], listener: Listener | None = None) -> Path:
    """Train as `conf/train.yaml` says and return the path of the best weights.

    Under torchrun all processes train one network together; the first one validates and writes.

    Args:
        config: `conf/train.yaml`, composed.
        listener: told of every step and validation.

    Raises:
        UsageError: a value that does not fit, or parts that do not go together, before any data is read; a run that
            exists already and is not resumed.
        InputError: the data set cannot be read.
        OutputError: the output folder cannot be written.
        ModelError: no checkpoint to resume from, or one of another architecture; names both.
        DivergedError: the loss is not finite; names the step and its patches.
    """
    listener = listener or Listener()
    device = training_device(str(config["device"]))
    with joined(device) as processes:
        torch.manual_seed(config["seed"])
        recipe = Recipe.of(config, device, processes.count)
        trainer, folder = recipe.trainer, Path(config["output"])
        last = _checkpoint(folder, config["resume"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder {folder}: {error.strerror}; choose another output=FOLDER"
            ) from None
        if config.get("start"):
            path = model_path(config["start"])
            load_weights(recipe.network, read_weights(path)[0], path, part=True)
        state = TrainingState(recipe.network, trainer.learning_rate, trainer.weight_decay, trainer.optimizer)
        if last is not None:
            state.load(last, config["network"])
            listener.message(f"resumed at step {state.step}")
        with processes.first_one_first():
            data = read_data(recipe, int(config["holdout"]), listener.reading)
        run = None if processes.rank else Run(config, recipe, state, processes, data, listener)
        try:
            for progress in trainer.run(state, recipe.loss, recipe.patches, data.clouds, processes):
                if run:
                    run.step(progress)
            if run:
                run.end()
        finally:
            if run:
                run.board.close()
    return folder / BEST


def _checkpoint(folder: Path, resume: Any) -> Path | None:
    """What to go on from; `auto` goes on where there is something, and else begins."""
    last = folder / LAST
    if resume in (True, "auto"):
        return last if last.exists() else None
    if resume:
        if not Path(resume).is_file():
            raise ModelError(f"there is no checkpoint {resume}; give resume=auto or the path of a last.safetensors")
        return Path(resume)
    if last.exists():
        raise UsageError(f"{folder} already holds a run; add resume=auto to go on, or choose another output=FOLDER")
    return None


class Run:
    """What the first process of a run writes and says."""

    def __init__(
        self,
        config: Mapping[str, Any],
        recipe: Recipe,
        state: TrainingState,
        processes: Processes,
        data: TrainingData,
        listener: Listener,
    ) -> None:
        self.config, self.recipe, self.state, self.processes = config, recipe, state, processes
        self.data, self.listener = data, listener
        self.folder = Path(config["output"])
        (self.folder / "config.json").write_text(json.dumps(dict(config), indent=2) + "\n")
        self.steps, self.curve = Log(self.folder / STEPS, state.step), Log(self.folder / VALIDATION, state.step)
        self.board = _tensorboard(self.folder, state.step)
        self.clock = Clock(state.records["hours"], state.records["cpu_hours"])
        self.seconds = self.waited = self.seconds_since_row = self.waited_since_row = 0.0

    def step(self, progress: Progress) -> None:
        """Log, validate and save what is due after a step."""
        last = progress.step == self.recipe.trainer.max_steps
        self.seconds_since_row += progress.seconds
        self.waited_since_row += progress.waited
        if progress.memory is not None:
            self.listener.message(
                f"peak memory {progress.memory / 1e6:.1f} MB a patch of {self.recipe.patches.points} points "
                f"(trainer.memory={self.recipe.trainer.memory})"
            )
        if progress.step % self.config["log_every"] == 0:
            self._log(progress)
        self.listener.step(progress, self.recipe.trainer.max_steps)
        if last or progress.step % self.recipe.validation.every == 0:
            self._validate()
        if last or progress.step % self.config["checkpoint_every"] == 0:
            self._save()

    def end(self) -> None:
        """Say how much of the time went into waiting; validate a run that never was."""
        seconds, waited = self.seconds + self.seconds_since_row, self.waited + self.waited_since_row
        if seconds:
            self.listener.message(f"waited for data {waited / seconds:.1%} of the time")
        if "best" not in self.state.records:
            self._validate()
            self._save()

    def _log(self, progress: Progress) -> None:
        row = {"step": progress.step, "loss": progress.loss, "learning_rate": progress.learning_rate}
        row |= {f"stage_{p + 1}": value for p, value in enumerate(progress.stage_losses)}
        row["waiting"] = self.waited_since_row / self.seconds_since_row
        row["seconds"], row["cpu_seconds"] = self.clock.read()
        self.steps.write(row)
        for name, value in row.items():
            self.board.add_scalar(f"training/{name}", value, progress.step)
        self.seconds += self.seconds_since_row
        self.waited += self.waited_since_row
        self.seconds_since_row = self.waited_since_row = 0.0

    def _validate(self) -> None:
        state = self.state
        denoiser = engine_of(state.average, next(state.average.parameters()).device, self.recipe.sampler)
        figures = self.recipe.validation(denoiser, self.data.held_out)
        self.curve.write({"step": state.step, **figures})
        for name, value in figures.items():
            self.board.add_scalar(f"validation/{name}", value, state.step)
        self.listener.validated(state.step, figures)
        if figures["score"] < state.records.get("best", {}).get("score", np.inf):
            state.records["best"] = {"step": state.step, **figures}
            provenance = self._provenance()
            header = {**self._parts, "provenance": provenance}
            save_checkpoint(self.folder / BEST, state.average.state_dict(), header)
            (self.folder / BEST).with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")

    def _save(self) -> None:
        self._record_time()
        self.state.save(self.folder / LAST, {**self._parts, "config": dict(self.config)})

    @property
    def _parts(self) -> dict[str, Any]:
        """What it takes to use the weights."""
        return {"network": self.config["network"], "sampler": self.config["sampler"]}

    def _record_time(self) -> None:
        seconds, cpu_seconds = self.clock.read()
        self.state.records |= {"hours": seconds / 3600, "cpu_hours": cpu_seconds / 3600}

    def _provenance(self) -> dict[str, Any]:
        self._record_time()
        config, state, data = self.config, self.state, self.data
        return {
            "pcdenoise": pcdenoise.__version__,
            "torch": torch.__version__,
            "commit": _commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads, device {config['device']}",
            "processes": self.processes.count,
            "dataset": config["dataset"],
            "pairs": config["pairs"],
            "shapes": data.shapes,
            "start": config.get("start"),
            "seed": config["seed"],
            "steps": state.step,
            "hours": round(state.records["hours"], 2),
            "cpu_hours": round(state.records["cpu_hours"], 2),
            "validation": state.records["best"],
            "parameters": sum(p.numel() for p in state.model.parameters()),
            "recipe": {key: config[key] for key in ("network", "loss", "sampler", "patches", "trainer")},
        }


class Clock:
    """Wall time and CPU time of this process since a run began, over all its resumes.

    Args:
        hours, cpu_hours: before this start.
    """

    def __init__(self, hours: float, cpu_hours: float) -> None:
        self._began = time.perf_counter() - 3600 * hours
        self._cpu_began = time.process_time() - 3600 * cpu_hours

    def read(self) -> tuple[float, float]:
        """Seconds and CPU seconds."""
        return time.perf_counter() - self._began, time.process_time() - self._cpu_began


class Log:
    """A CSV file that grows by rows of numbers, the step first; on resuming, rows beyond the step are dropped.

    Args:
        path: the file.
        step: the last step that counts.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        if not path.exists():
            return
        header, *rows = path.read_bytes().splitlines(keepends=True)
        kept = [row for row in rows if int(row.partition(b",")[0]) <= step]
        # the old file stands until the new one is whole: a run may end at any moment
        part = path.with_name(path.name + ".part")
        part.write_bytes(b"".join([header, *kept]))
        part.replace(path)
        if not kept:
            path.unlink()

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; the first one makes the header."""
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def _tensorboard(folder: Path, step: int) -> Any:
    """A TensorBoard writer that hides rows beyond the step; silent where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:

        class Silent:
            def add_scalar(self, *arguments: Any) -> None: ...

            def close(self) -> None: ...

        return Silent()
    return SummaryWriter(str(folder), purge_step=step or None)


def _commit() -> str:
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
