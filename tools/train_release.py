"""From meshes to the weights that ship: pack the data, train, publish.

    python tools/train_release.py pack --meshes data/meshes      # runs/release.npz and runs/release.json, under 40 MB
    python tools/train_release.py train                          # goes on where it stopped
    torchrun --nproc-per-node 2 tools/train_release.py train     # two processes: fastest on two cores
    python tools/train_release.py publish                        # pcdenoise/weights/flagship.*, docs/model_card.md

`pack` samples the meshes of FOLDER/train and FOLDER/val, adds thin procedural shapes, and composes
`conf/experiment/release.yaml`. `train` takes these two files and needs torch, numpy and scipy alone (and numba on a
CPU), so it runs on a bare machine: carry the repository and the two files there, and the run's folder back.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pcdenoise.checkpoint import load_checkpoint, save_checkpoint
from pcdenoise.datasets.surfaces import Surface, save
from pcdenoise.errors import PcdenoiseError

RUNS = Path("runs")
DATA, RECIPE, RUN = RUNS / "release.npz", RUNS / "release.json", RUNS / "release"
WEIGHTS = Path("pcdenoise/weights/flagship")
LARGEST = 40_000_000  # bytes
# Of the network, where validation shapes may ask for others than training.
IN_USE = "subset_sigma", "polish", "polish_subsets"
THIN = ("plates", "shells", "lathes", "rods", "machined", "profiles")


def pack(meshes: Path, cache: Path, thin: tuple[int, int], overrides: list[str]) -> None:
    """Write data and recipe."""
    from pcdenoise.config import compose
    from pcdenoise.datasets.folder import Folder
    from pcdenoise.datasets.procedural import Shapes

    def said(done: int, of: int, name: str) -> None:
        print(f"\r{done}/{of} {name:40}", end="", flush=True)

    def without_mesh(surfaces: list[Surface]) -> list[Surface]:
        return [replace(surface, mesh=None) for surface in surfaces]

    def folder(part: str, resolutions: tuple[int, ...], seed: int = 0) -> list[Surface]:
        source = Folder(root=meshes / part, seed=seed, resolutions=resolutions, meshes=True, cache_dir=cache)
        return source.surfaces(said)

    training = without_mesh(folder("train", (10_000, 50_000)))
    # a second sampling, so that every other cloud is that of a real shape
    training += [replace(surface, name=f"{surface.name}-2") for surface in without_mesh(folder("train", (10_000,), 1))]
    first = 1
    for count, resolutions in zip(thin, ((10_000, 30_000), (10_000,)), strict=True):
        shapes = Shapes(count, first, resolutions, THIN, meshes=False, cache_dir=cache)
        training += shapes.surfaces(said)
        first += count
    DATA.parent.mkdir(parents=True, exist_ok=True)
    save(training + folder("val", (10_000, 50_000)), DATA)
    size = DATA.stat().st_size
    print(f"\n{DATA}: {len(training)} shapes to train on, {size / 1e6:.1f} MB")
    if size > LARGEST:
        raise SystemExit(f"more than {LARGEST / 1e6:.0f} MB; give a smaller --thin")
    config = compose("train", ["experiment=release", f"dataset.path={DATA}", f"output={RUN}", *overrides])
    RECIPE.write_text(json.dumps(config, indent=2) + "\n")


def train(steps: int | None, recipe: Path) -> None:
    """Train as the recipe says, from where the run stopped."""
    from pcdenoise.training.loop import Progress
    from pcdenoise.training.parallel import rank
    from pcdenoise.training.session import Listener
    from pcdenoise.training.session import train as run

    config = json.loads(recipe.read_text()) | {"resume": "auto"}
    if steps:
        config["trainer"]["max_steps"] = steps
    began, first = time.perf_counter(), 0
    speaks = not rank()

    def step(progress: Progress, of: int) -> None:
        nonlocal first
        first = first or progress.step
        if speaks and progress.step % 100 == 0:
            left = (time.perf_counter() - began) / (progress.step - first + 1) * (of - progress.step)
            stages = " ".join(f"{value:.3f}" for value in progress.stage_losses)
            print(f"{progress.step}/{of}  loss {stages}  {left / 60:.0f} min left", flush=True)

    def validated(step: int, figures: dict[str, float]) -> None:
        print(step, " ".join(f"{name} {value:.3f}" for name, value in figures.items()), flush=True)

    best = run(config, Listener(message=print if speaks else lambda text: None, step=step, validated=validated))
    if speaks:
        print(best)


def publish(run: Path, card: Path, share: float = 1.0, **in_use: float | list[float] | None) -> None:
    """Put the best weights of the run among those that ship, and write down where they come from.

    Args:
        run: folder of the run.
        card: where to write the model card.
        share: of these weights; those that shipped before are the rest, for runs that began with them.
        in_use: see `IN_USE`.
    """
    tensors, header = load_checkpoint(run / "best.safetensors")
    if share < 1:
        before, old = load_checkpoint(WEIGHTS.with_suffix(".safetensors"))
        tensors = {name: share * its + (1 - share) * before[name] for name, its in tensors.items()}
        header["provenance"] |= {"share": share, "rest": old["sha256"]}
    for name, value in in_use.items():
        if value is not None:
            header["network"][name] = header["provenance"][f"{name}_in_use"] = value
    save_checkpoint(WEIGHTS.with_suffix(".safetensors"), tensors, header)
    WEIGHTS.with_suffix(".json").write_text(json.dumps(header["provenance"], indent=2) + "\n")
    with (run / "validation.csv").open(newline="") as file:
        curve = list(csv.DictReader(file))
    card.write_text(model_card(header["provenance"], curve))
    print(WEIGHTS.with_suffix(".safetensors"), card)


def model_card(provenance: Mapping[str, Any], curve: Sequence[Mapping[str, str]]) -> str:
    """Markdown: what the weights were made of and how they became better.

    Args:
        provenance: `best.json` of a run.
        curve: rows of its `validation.csv`.
    """
    recipe, shapes = provenance["recipe"], provenance["shapes"]
    network, patches, trainer = recipe["network"], recipe["patches"], recipe["trainer"]
    facts = {
        "parameters": f"{provenance['parameters']:,}",
        "network": ", ".join(f"{key} {value}" for key, value in network.items() if key != "_target_"),
        **{f"{key} in use": provenance.get(f"{key}_in_use", network[key]) for key in IN_USE},
        "began with": provenance["start"] or "random weights",
        "data": f"{len(shapes)} shapes: {', '.join(shapes)}",
        "noise": f"sigma log-uniform in {patches['sigma']} of the unit sphere, {patches['faint']:.0%} fainter, "
        f"{patches['others']:.0%} Laplace, in a ball, discrete or anisotropic, the rest Gaussian",
        "steps": f"{provenance['steps']:,} of {patches['patches'] * trainer['accumulate']} patches of "
        f"{patches['points']:,} points; {trainer.get('optimizer', 'adamw')}, learning rate {trainer['learning_rate']}, "
        f"falling over the last {trainer['decay']:.0%} of {trainer['max_steps']:,} steps",
        **(
            {"average": f"{provenance['share']:.0%} these, the rest what it began with"}
            if "share" in provenance
            else {}
        ),
        "seed": provenance["seed"],
        "hardware": f"{provenance['hardware']}, {provenance['processes']} processes",
        "hours": f"{provenance['hours']} ({provenance['cpu_hours']} of one processor's time in the first process)",
        "commit": provenance["commit"] or "unknown",
    }
    levels = [key.removeprefix("cd_") for key in curve[0] if key.startswith("cd_")]
    head = [f"{float(level):.2g}" for level in levels]
    lines = [
        "# Model card",
        "",
        "Written by `python tools/train_release.py publish`; tables of results and limits stand in",
    ]
    lines += ["[flagship.md](flagship.md).", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += ["", "Validation, blind, Chamfer distance / P2M x 1e4 by noise; the step that ships stands above:", ""]
    lines += [f"| step | {' | '.join(head)} | score |", f"|---|{'---|' * len(levels)}---|"]
    for row in curve:
        # P2M needs meshes
        kinds = [kind for kind in ("cd", "p2m") if f"{kind}_{levels[0]}" in row]
        cells = [" / ".join(f"{float(row[f'{kind}_{level}']):.2f}" for kind in kinds) for level in levels]
        lines.append(f"| {row['step']} | {' | '.join(cells)} | {float(row['score']):.4f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="data and recipe")
    packing.add_argument("--meshes", type=Path, required=True, help="folder with train/ and val/")
    packing.add_argument("--cache", type=Path, default=Path("cache"), help="sampled clouds")
    packing.add_argument(
        "--thin", type=int, nargs=2, default=(60, 16), metavar=("BOTH", "SPARSE"),
        help="procedural shapes with thin parts, of 30,000 and 10,000 points, and further ones of 10,000 alone",
    )  # fmt: skip
    packing.add_argument("override", nargs="*", help="of the recipe, such as trainer.max_steps=5000")
    training = commands.add_parser("train", help="train, or go on")
    training.add_argument("--steps", type=int, help="instead of those of the recipe")
    training.add_argument("--recipe", type=Path, default=RECIPE)
    publishing = commands.add_parser("publish", help="ship the best weights")
    publishing.add_argument("--run", type=Path, default=RUN)
    publishing.add_argument("--card", type=Path, default=Path("docs/model_card.md"))
    publishing.add_argument("--share", type=float, default=1.0, help="of these weights, the rest those that ship now")
    for name in IN_USE:
        publishing.add_argument(
            f"--{name.replace('_', '-')}", type=float, nargs="+" if name == "polish" else None,
            help="in use, where another than in training is better",
        )  # fmt: skip
    options = parser.parse_args()
    try:
        match options.command:
            case "pack":
                pack(options.meshes, options.cache, options.thin, options.override)
            case "train":
                train(options.steps, options.recipe)
            case "publish":
                in_use = {name: getattr(options, name) for name in IN_USE}
                publish(options.run, options.card, options.share, **in_use)
    except PcdenoiseError as error:
        raise SystemExit(f"train_release: {error}") from None


if __name__ == "__main__":
    main()
