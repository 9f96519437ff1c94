"""Compare trained objectives on held-out shapes: one row per file of weights, as Markdown.

    python tools/compare_objectives.py data/meshes/val runs/*/best.safetensors [--samplers ode] [--json results.json]

Every cloud is denoised blind, once by the sampler that the weights were trained with and once by a single step to the
expected clean position; no points are spread along the surface afterwards, so that the objectives alone are compared.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcdenoise.api import load_model
from pcdenoise.checkpoint import load_checkpoint
from pcdenoise.config import compose, instantiate
from pcdenoise.datasets.folder import Folder
from pcdenoise.datasets.noise_models import Gaussian
from pcdenoise.denoisers.noise_level import noise_level
from pcdenoise.denoisers.staged import told_sigma
from pcdenoise.geometry.frame import Frame
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.metrics.point_to_mesh import point_to_mesh_distance
from pcdenoise.metrics.residuals import jarque_bera_pass_rate
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.training.patches import CleanCloud
from pcdenoise.training.state import TrainingState


@dataclass(frozen=True)
class Scan:
    """A noisy cloud in units of its spacing, with its clean cloud, its mesh and the noise that it is told."""

    level: float
    clean: np.ndarray
    noisy: np.ndarray
    mesh: Any
    frame: Frame
    local: np.ndarray
    sigma: np.ndarray


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of held-out meshes")
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.01, 0.02, 0.03])
    parser.add_argument("--resolution", type=int, default=10_000)
    parser.add_argument("--samplers", nargs="*", default=[], help="files of conf/sampler/, beside the weights' own")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    options = parser.parse_args()
    extra = options.samplers
    scans = list(read(options.root, options.levels, options.resolution))
    columns = [f"{level:.0%}" for level in options.levels]
    columns += ["s a cloud", "Jarque-Bera", "parameters", "steps", "s a step"]
    print(f"| | {' | '.join(columns)} |")
    print("|---|" + "---|" * len(columns), flush=True)
    rows: dict[str, Any] = {"noisy input": [figures(scan, scan.noisy) for scan in scans]}
    print_row("noisy input", rows["noisy input"], options.levels, "")
    for path in options.weights:
        name, provenance = path.parent.name, load_checkpoint(path)[1]["provenance"]
        seconds = seconds_per_step(provenance["recipe"], scans)
        training = f"{provenance['parameters']:,} | {provenance['steps']:,} | {seconds:.2f}"
        samplers = {name: None, f"{name}, one step": Ascent()}
        samplers |= {f"{name}, {other}": compose("train", [f"sampler={other}"])["sampler"] for other in extra}
        for title, sampler in samplers.items():
            denoiser = load_model(path, "cpu", instantiate(sampler), relaxation=0.0)
            rows[title] = []
            for scan in scans:
                started = time.perf_counter()
                result = scan.frame.to_world(denoiser(scan.local, scan.sigma, denoiser.passes))
                seconds = time.perf_counter() - started
                rows[title].append(figures(scan, result) | {"seconds": seconds})
            print_row(title, rows[title], options.levels, training)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def read(root: Path, levels: list[float], resolution: int) -> Any:
    """Noisy clouds of all shapes at all levels."""
    for index, surface in enumerate(Folder(root=root, resolutions=[resolution], meshes=True).surfaces()):
        clean = surface.clouds[resolution][0].astype(np.float64)
        for level in levels:
            noisy = Gaussian(level)(clean, np.random.default_rng([index, resolution, round(1e4 * level)]))
            frame = Frame.of(noisy)
            local = frame.to_local(noisy)
            sigma = told_sigma(noise_level(local), len(local))
            yield Scan(level, clean, noisy, surface.mesh, frame, local, sigma)


def figures(scan: Scan, result: np.ndarray) -> dict[str, float]:
    """What a result scores, x 1e4, and the share of neighbourhoods whose residual along the normal is Gaussian."""
    return {
        "level": scan.level,
        "cd": 1e4 * chamfer_distance(result, scan.clean),
        "p2m": 1e4 * point_to_mesh_distance(result, *scan.mesh).total,
        "jarque_bera": jarque_bera_pass_rate(scan.noisy - result, scan.clean) if result is not scan.noisy else math.nan,
    }


def seconds_per_step(recipe: dict[str, Any], scans: list[Scan], steps: int = 5) -> float:
    """Processor time of a step of training, after one that does not count."""
    clouds = [CleanCloud(scan.clean, np.zeros_like(scan.clean)) for scan in scans]
    trainer, loss = replace(instantiate(recipe["trainer"]), max_steps=steps + 1), instantiate(recipe["loss"])
    patches = replace(instantiate(recipe["patches"]), levels=loss.levels)
    state = TrainingState(
        instantiate(recipe["network"]), trainer.learning_rate, trainer.weight_decay, trainer.optimizer
    )
    with torch.enable_grad():
        training = trainer.run(state, loss, patches, clouds)
        next(training)
        started = time.process_time()
        for _ in training:
            pass
    return (time.process_time() - started) / steps


def print_row(title: str, cells: list[dict[str, float]], levels: list[float], training: str) -> None:
    """One row of the table."""

    def mean(key: str, level: float | None = None) -> float:
        return float(np.mean([cell[key] for cell in cells if level is None or cell["level"] == level]))

    scores = " | ".join(f"{mean('cd', level):.3f} / {mean('p2m', level):.3f}" for level in levels)
    if not training:
        print(f"| {title} | {scores} | | | | | |", flush=True)
        return
    print(f"| {title} | {scores} | {mean('seconds'):.2f} | {mean('jarque_bera'):.0%} | {training} |", flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
