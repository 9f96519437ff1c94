"""Train the network that tells how noisy a cloud is, from the data that `tools/train_release.py pack` wrote.

    python tools/train_noise_level.py [--steps 8000]      # pcdenoise/weights/estimators/noise_level.*

With further thin walls (`--thin`, which needs open3d), for these look most like noise. Needs torch, numpy and scipy
else (and numba on a CPU); it takes 25 minutes on one core.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import platform
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pcdenoise.checkpoint import load_weights, save_checkpoint
from pcdenoise.config import instantiate
from pcdenoise.datasets.packed import Packed
from pcdenoise.datasets.procedural import Shapes
from pcdenoise.datasets.surfaces import Surface
from pcdenoise.denoisers.models import read_weights
from pcdenoise.denoisers.noise_level import ESTIMATOR
from pcdenoise.geometry.subsets import interleaved_subsets
from pcdenoise.networks.noise_level import NoiseLevel
from pcdenoise.training.patches import CleanCloud, PatchSampler
from pcdenoise.training.prefetch import prefetched

# As strong noise is measured: clouds of 30,000 points and more also come with so many times fewer, and the noise is no
# stronger than so many spacings.
THINNED = (2, 3, 4, 6, 8)
FIRST_THIN = 20_000  # number of the first further shape
LEVELS = tuple(np.geomspace(0.04, 2.4, 60))
NETWORK = {
    "_target_": "pcdenoise.networks.noise_level.NoiseLevel",
    "channels": 32,
    "blocks": 3,
    "neighbours": 32,
    "neighbourhoods": [4, 8, 16, 32],
    "hops": 3,
}
RATE, WARMUP, DECAY, EMA = 3e-3, 100, 0.6, 0.998


def clean_clouds(surfaces: Sequence[Surface], seed: int) -> list[CleanCloud]:
    """The clouds of all shapes, and thinned ones."""
    rng = np.random.default_rng(seed)
    clouds = []
    for surface in surfaces:
        for n, (points, normals, *_) in surface.clouds.items():
            for times in (1, *(THINNED if n >= 30_000 else ())):
                rows = interleaved_subsets(points.astype(np.float64), times) == rng.integers(times)
                clouds.append(CleanCloud(points[rows], normals[rows], surface.name))
    return clouds


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/release.npz"))
    parser.add_argument("--holdout", type=int, default=6, help="shapes at the end of the data that are left out")
    parser.add_argument("--thin", type=int, default=80, help="further plates and shells")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="sampled clouds")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to begin with in place of random ones")
    parser.add_argument("--output", type=Path, default=ESTIMATOR)
    options = parser.parse_args()
    shapes = Packed(options.data).surfaces()
    shapes = shapes[: len(shapes) - options.holdout]
    thin = Shapes(options.thin, FIRST_THIN, (10_000, 30_000), ("plates", "shells"), cache_dir=options.cache)
    shapes += thin.surfaces() if options.thin else []
    clouds = clean_clouds(shapes, options.seed)
    sampler = PatchSampler(levels=LEVELS, others=0.1, seed=options.seed)
    torch.manual_seed(options.seed)
    network: NoiseLevel = instantiate(NETWORK)
    if options.start:
        load_weights(network, read_weights(options.start)[0], options.start)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    began, recent = time.perf_counter(), 0.0
    with closing(prefetched((partial(sampler.batch, clouds, step) for step in range(options.steps)), 1)) as batches:
        for step, patches in enumerate(batches, start=1):
            rate = RATE * min(1.0, step / WARMUP, (options.steps - step + 1) / (DECAY * options.steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = network.loss(patches)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - min(EMA, step / (step + 10)))
            recent += (loss.item() - recent) / min(step, 200)
            if step % 200 == 0:
                left = (time.perf_counter() - began) / step * (options.steps - step) / 60
                print(f"{step}/{options.steps}  loss {recent:.3f}  {left:.0f} min left", flush=True)
    provenance = {
        "shapes": [shape.name for shape in shapes],
        "start": options.start and options.start.name,
        "steps": options.steps,
        "seed": options.seed,
        "hours": round((time.perf_counter() - began) / 3600, 2),
        "hardware": platform.processor() or platform.machine(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(options.output, average, {"network": NETWORK, "provenance": provenance})
    options.output.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
