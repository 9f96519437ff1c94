"""A training run with its folder: logs, checkpoints, validation, the best weights."""

import csv
import json
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pcdenoise
from pcdenoise.checkpoint import save_checkpoint
from pcdenoise.config import instantiate
from pcdenoise.errors import InputError, OutputError, UsageError
from pcdenoise.denoisers.learned import LearnedDenoiser
from pcdenoise.score import check_fits, named
from pcdenoise.training.loop import Progress
from pcdenoise.training.patches import CleanCloud
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

    Args:
        config: `conf/train.yaml`, composed.
        listener: told of every step and validation.

    Raises:
        UsageError: a value that does not fit; a run that exists already and is not resumed.
        InputError: the data set cannot be read.
        OutputError: the output folder cannot be written.
        DivergedError: the loss is not finite; names the step.
    """
    listener = listener or Listener()
    folder = Path(config["output"])
    resume = config["resume"]
    last = folder / LAST if resume in (True, "auto") else None if not resume else Path(resume)
    if last is None and (folder / LAST).exists():
        raise UsageError(f"{folder} already holds a run; add resume=auto to go on, or choose another output=FOLDER")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}; choose another output=FOLDER") from None

    torch.manual_seed(config["seed"])
    model = instantiate(config["network"]).to(_device(str(config["device"])))
    loss, sampler = instantiate(config["loss"]), instantiate(config["sampler"])
    for part in ("loss", "sampler"):
        check_fits(named(config[part]), {"loss": loss, "sampler": sampler}[part].needs, named(config["network"]), model.offers)
    surfaces = instantiate(config["dataset"]).surfaces(listener.reading)
    if config.get("validation_dataset"):
        training, held_out = surfaces, instantiate(config["validation_dataset"]).surfaces(listener.reading)
    else:
        held = int(config["holdout"])
        if not 0 < held < len(surfaces):
            raise UsageError(
                f"holdout={held} of {len(surfaces)} shapes; hold out at least one and train on at least one"
            )
        training, held_out = surfaces[:-held], surfaces[-held:]
    clouds = [CleanCloud(*cloud) for surface in training for cloud in surface.clouds.values()]
    if not clouds:
        raise InputError("the data set has no clouds; check dataset.resolutions")

    trainer, validation = instantiate(config["trainer"]), instantiate(config["validation"])
    state = TrainingState(model, trainer.learning_rate, trainer.weight_decay)
    if last is not None:
        state.load(last)
        listener.message(f"resumed at step {state.step}")
    patches = replace(instantiate(config["patches"]), levels=loss.levels) 
    network = {"network": config["network"], "sampler": config["sampler"]}
    header = {**network, "config": dict(config)}
    (folder / "config.json").write_text(json.dumps(dict(config), indent=2) + "\n")
    steps, curve = Log(folder / STEPS, state.step), Log(folder / VALIDATION, state.step)
    board = _tensorboard(folder, state.step)
    hours, started = state.records["hours"], time.perf_counter()

    def checkpoint() -> None:
        state.records["hours"] = hours + (time.perf_counter() - started) / 3600
        state.save(folder / LAST, header)

    def validate() -> None:
        denoiser = LearnedDenoiser(state.average, next(state.average.parameters()).device, sampler)
        figures = validation(denoiser, held_out)
        curve.write({"step": state.step, **figures})
        for name, value in figures.items():
            board.add_scalar(f"validation/{name}", value, state.step)
        listener.validated(state.step, figures)
        if figures["score"] < state.records.get("best", {}).get("score", np.inf):
            state.records["best"] = {"step": state.step, **figures}
            state.records["hours"] = hours + (time.perf_counter() - started) / 3600
            provenance = _provenance(config, state, [surface.name for surface in training])
            save_checkpoint(
                folder / BEST, state.average.state_dict(), {**network, "provenance": provenance}
            )
            (folder / BEST).with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")

    try:
        for progress in trainer.run(state, loss, patches, clouds):
            if progress.step % config["log_every"] == 0:
                row = {"step": progress.step, "loss": progress.loss, "learning_rate": progress.learning_rate}
                row |= {f"stage_{p + 1}": value for p, value in enumerate(progress.stage_losses)}
                steps.write(row | {"waited": progress.waited})
                for name, value in row.items():
                    board.add_scalar(f"training/{name}", value, progress.step)
            listener.step(progress, trainer.max_steps)
            if progress.step % validation.every == 0 or progress.step == trainer.max_steps:
                validate()
            if progress.step % config["checkpoint_every"] == 0 or progress.step == trainer.max_steps:
                checkpoint()
        if "best" not in state.records:
            validate()
            checkpoint()
    finally:
        board.close()
    return folder / BEST


class Log:
    """A CSV file that grows by rows; on resuming, rows beyond the step are dropped.

    Args:
        path: the file.
        step: the last step that counts.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        rows = []
        if path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
            path.unlink()
        for row in rows:
            self.write(row)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; the first one makes the header."""
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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


def _provenance(config: Mapping[str, Any], state: TrainingState, shapes: list[str]) -> dict[str, Any]:
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    return {
        "pcdenoise": pcdenoise.__version__,
        "torch": torch.__version__,
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads, device {config['device']}",
        "dataset": config["dataset"],
        "shapes": shapes,
        "seed": config["seed"],
        "steps": state.step,
        "hours": round(state.records["hours"], 2),
        "validation": state.records["best"],
        "parameters": sum(p.numel() for p in state.model.parameters()),
        "recipe": {key: config[key] for key in ("network", "loss", "sampler", "patches", "trainer")},
    }
