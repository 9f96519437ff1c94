"""Train a denoiser, by default on procedural shapes that need no download.

The words are Hydra overrides of conf/train.yaml:
  pcdenoise train trainer.max_steps=2000
  pcdenoise train dataset=pu_net dataset.root=PUNet
  pcdenoise train dataset=folder dataset.root=my_meshes output=runs/mine
  pcdenoise train output=runs/mine resume=auto
  pcdenoise train -m trainer.learning_rate=1e-3,2e-3 loss=paired_dsm,dsm
  torchrun --nproc-per-node 2 -m pcdenoise train
"""

import argparse
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

AFTER_INTERRUPT = "add resume=auto to go on from the last checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="configuration values")
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="one run for each combination of values such as loss=dsm,ncsn"
    )
    parser.add_argument("--show", action="store_true", help="print the composed configuration and stop")


def run(options: argparse.Namespace) -> None:
    """Compose, train, say where the weights are."""
    from pcdenoise.cli.main import overrides
    from pcdenoise.config import compose

    words = overrides(options.overrides)
    if options.multirun:
        _sweep(words, show=options.show)
        return
    config = compose("train", words)
    if options.show:
        _show(config)
        return
    from pcdenoise.training.parallel import rank

    best = _train(config)
    if rank() == 0:
        print(f"best weights: {best}")


def _show(config: Mapping[str, Any]) -> None:
    import json

    print(json.dumps(config, indent=2))


def _sweep(words: list[str], *, show: bool) -> None:
    from pcdenoise.errors import PcdenoiseError, UsageError
    from pcdenoise.training.parallel import launched
    from pcdenoise.training.sweep import jobs_of, sweep

    if launched():
        raise UsageError("torchrun and --multirun do not go together; start torchrun once for each run")
    jobs = jobs_of(words)
    if show:
        _show({job.name: job.config for job in jobs})
        return

    def train(config: Mapping[str, Any]) -> Path:
        print(f"run {config['output']}", file=sys.stderr, flush=True)
        return _train(config)

    results, table = sweep(jobs, train)
    for result in results:
        outcome = f"score {result.score:.4f} at step {result.step}" if result.score is not None else "failed"
        print(f"{result.job.name}: {outcome}{result.error and ': ' + result.error}")
    failed = sum(bool(result.error) for result in results)
    if failed:
        raise PcdenoiseError(f"{failed} of {len(results)} runs failed; {table} says why")


def _train(config: Mapping[str, Any]) -> Path:
    """Train and show how it goes, in the first of all processes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from pcdenoise.training.loop import Progress as Step
    from pcdenoise.training.parallel import rank
    from pcdenoise.training.session import Listener, train

    if rank():
        return train(config)
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining()
    bar = Progress(*columns, console=console) if sys.stderr.isatty() else None
    task: Any = bar.add_task("reading the data set", total=None) if bar else None

    def message(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

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
        message(f"step {at}: " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items()))

    with bar or nullcontext():
        return train(config, Listener(message, reading, step, validated))
