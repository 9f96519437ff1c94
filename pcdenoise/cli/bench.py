"""Run methods on noisy shapes and compare them: tables, plots, one HTML page.

The words are values of conf/bench.yaml, for instance
  pcdenoise bench dataset=pu_net dataset.root=PUNet methods=[edgeconv,jet,bilateral]
  pcdenoise bench dataset=folder dataset.root=my_meshes methods=[edgeconv,mine.safetensors] noise=[laplace] level=[0.02]
  pcdenoise bench dataset=folder dataset.root=pairs noise=[files] resolution=null
  pcdenoise bench dataset=shapes dataset.count=4 'methods=[edgeconv,"jet neighbours=24"]' told=true

Run the same command again after an interruption: finished cells are not run twice. A method whose configuration or
weights have changed is run again, alone. The noise is blind unless told=true adds baselines that are told it.
"""

import argparse
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table as RichTable

    from pcdenoise.bench.session import Outcome, Plan
    from pcdenoise.bench.summary import Table

AFTER_INTERRUPT = "run the same command again to go on"
THUMBNAIL = (360, 300)  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="configuration values")
    parser.add_argument("--told", action="store_true", help="the same as told=true")
    parser.add_argument("--show", action="store_true", help="print the composed configuration and stop")
    parser.add_argument("--json", action="store_true", help="print nothing but the path of results.json")
    parser.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")


def run(options: argparse.Namespace) -> None:
    """Compose, run, write, print."""
    from pcdenoise.cli.main import overrides
    from pcdenoise.config import compose

    # conf/noise is a group of its own, and Hydra would take noise=[a,b] for a choice from it
    words = [word.replace("noise=", "noises=", 1) if word.startswith("noise=") else word for word in options.overrides]
    config = compose("bench", overrides(words))
    config["told"] = config["told"] or options.told
    dataset = config["dataset"]
    wanted = {"resolutions": config["resolution"], "meshes": True, "split": config["split"]}
    given = {word.partition("=")[0] for word in words}
    dataset |= {key: value for key, value in wanted.items() if key in dataset and f"dataset.{key}" not in given}
    if options.show:
        import json

        print(json.dumps(config, indent=2))
        return
    plan, outcome = _run(config, quiet=options.quiet)

    from pcdenoise.bench.session import write_reports

    files = write_reports(plan, outcome, _draw if config["pictures"] else None)
    if options.json:
        print(files["results.json"])
    elif not options.quiet:
        _print(outcome)
        print(f"written: {', '.join(map(str, files.values()))}")


def _run(config: dict[str, Any], *, quiet: bool) -> "tuple[Plan, Outcome]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from pcdenoise.bench.session import Plan

    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), Remaining(), TextColumn("{task.description}")
    show = sys.stderr.isatty() and not quiet
    bar = Progress(*columns, console=Console(stderr=True), transient=True) if show else None
    task: Any = bar.add_task("reading the data set", total=None) if bar else None

    def reading(done: int, of: int, name: str) -> None:
        if bar:
            bar.update(task, completed=done, total=of, description=f"reading {name}")

    with bar or nullcontext():
        plan = Plan.of(config, reading)
        if bar:
            bar.reset(task, total=plan.cells)

        def running(done: int, what: str) -> None:
            if bar:
                bar.update(task, completed=done, description=what)

        return plan, plan.run(running)


def _print(outcome: "Outcome") -> None:
    from rich.console import Console

    from pcdenoise.bench.page import failure_text

    tables = [_rich(table) for table in (*outcome.tables, *outcome.differences)]
    console = Console(markup=False, highlight=False, emoji=False)
    # no number is cut off: in a narrow terminal lines wrap
    needed = [console.measure(table, options=console.options.update(width=1000)).maximum for table in tables]
    console.width = max(console.width, *needed)
    for table in tables:
        console.print(table)
    for record in outcome.results.failures:
        console.print(f"lost: {failure_text(record)}", soft_wrap=True)
    for note in outcome.notes:
        console.print(note, soft_wrap=True, style="dim")


def _rich(table: "Table") -> "RichTable":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    from pcdenoise.bench.formats import heading, is_best, text_of

    shown = RichTable(title=heading(table), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("", no_wrap=True)
    for header in table.headers:
        # the level below the rest
        shown.add_column(re.sub(r" (\S+ %)$", r"\n\1", header), justify="right", no_wrap=True)
    for block in table.blocks:
        if block.title:
            shown.add_row(Text(block.title, style="dim italic"))
        for row in block.rows:
            cells = []
            for column, value in enumerate(row.values):
                best = is_best(table, block, column, value)
                cells.append(Text(text_of(value, table.digits).replace(" [", "\n["), style="bold" if best else ""))
            shown.add_row(Text(f"  {row.name}"), *cells)
        shown.add_section()
    return shown


def _draw(points: "NDArray[np.float64]", clean: "NDArray[np.float64]", path: Path) -> None:
    from pcdenoise.cloud import PointCloud
    from pcdenoise.viewer import Camera, thumbnail

    thumbnail(PointCloud(points), path, camera=Camera.facing(clean, *THUMBNAIL))
