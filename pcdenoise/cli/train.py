"""Train a denoiser, by default on procedural shapes that need no download.

The words are Hydra overrides of conf/train.yaml:
  pcdenoise train trainer.max_steps=2000
  pcdenoise train dataset=pu_net dataset.root=PUNet
  pcdenoise train dataset=folder dataset.root=my_meshes output=runs/mine
  pcdenoise train output=runs/mine resume=auto
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

AFTER_INTERRUPT = "add resume=auto to go on from the last checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="configuration values")
    parser.add_argument("--show", action="store_true", help="print the composed configuration and stop")


def run(options: argparse.Namespace) -> None:
    """Compose, train, say where the weights are."""
    from pcdenoise.cli.main import overrides
    from pcdenoise.config import compose

    config = compose("train", overrides(options.overrides))
    if options.show:
        import json

        print(json.dumps(config, indent=2))
        return
    _check_values(config)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from pcdenoise.training.loop import Progress as Step
    from pcdenoise.training.session import Listener, train

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining()
    bar = Progress(*columns, console=console) if sys.stderr.isatty() else None
    task: Any = bar.add_task("reading the data set", total=None) if bar else None

    def reading(done: int, of: int, name: str) -> None:
        if bar:
            bar.update(task, completed=done, total=of, description=f"reading {name}")

    def step(progress: Step, of: int) -> None:
        losses = " ".join(f"{value:.3f}" for value in progress.stage_losses)
        if bar:
            bar.update(task, completed=progress.step, total=of, description=f"loss {losses}")
        elif progress.step % config["log_every"] == 0:
            print(f"step {progress.step} of {of}: loss {losses}", file=sys.stderr, flush=True)

    def validated(at: int, figures: dict[str, float]) -> None:
        text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        console.print(f"step {at}: {text}", highlight=False, soft_wrap=True)

    with bar or nullcontext():
        best = train(config, Listener(lambda text: console.print(text, highlight=False), reading, step, validated))
    print(f"best weights: {best}")


def _check_values(config: dict[str, Any]) -> None:
    """Refuse before the data set is read, which may take minutes."""
    import torch

    from pcdenoise.errors import ModelError, UsageError

    device, resume = config["device"], config["resume"]
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device {device!r}; give auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available; use device=cpu, or install torch with CUDA")
    if resume not in (None, False, True, "auto") and not Path(resume).is_file():
        raise ModelError(f"there is no checkpoint {resume}; give resume=auto or the path of a last.safetensors")
