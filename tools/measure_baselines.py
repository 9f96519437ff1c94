"""Chamfer distance and P2M (family A), x 1e4, of denoisers on meshes of one's own; blind, unless --told.

    python tools/measure_baselines.py data/meshes/val                   all methods, all shapes
    python tools/measure_baselines.py data/meshes/val jet mls --every 2
    python tools/measure_baselines.py thin flagship                     ten procedural shapes with thin walls
    python tools/measure_baselines.py data/meshes/val flagship runs/release/best.safetensors --draws 4

Shapes are sampled by Poisson disk and get Gaussian noise relative to the unit sphere, seeded by shape, level and draw.
It is the core of `pcdenoise bench`, without its other metrics, and so several times faster.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import numpy as np

from pcdenoise.datasets.folder import Folder
from pcdenoise.datasets.procedural import Shapes
from pcdenoise.datasets.surfaces import SurfaceSource
from pcdenoise.denoisers.catalogue import denoising_method, method_names
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.metrics.point_to_mesh import point_to_mesh_distance

RESOLUTIONS = (10_000, 50_000)
THIN = ("plates", "shells", "machined", "profiles", "lathes")


def main() -> None:
    """Measure and print one row a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a folder of meshes, or `thin`")
    parser.add_argument("methods", nargs="*", help="default: all but the learned one")
    parser.add_argument("--points", type=int, default=10_000, choices=RESOLUTIONS)
    parser.add_argument("--levels", type=float, nargs="+", default=[0.01, 0.02, 0.03])
    parser.add_argument("--every", type=int, default=1, help="take every so many shapes")
    parser.add_argument("--draws", type=int, default=1, help="of the noise, for each shape and level")
    parser.add_argument("--told", action="store_true", help="tell the methods the noise")
    arguments = parser.parse_args()
    source: SurfaceSource = Folder(arguments.root, seed=0, resolutions=RESOLUTIONS, meshes=True, cache_dir="cache")
    if str(arguments.root) == "thin":
        source = Shapes(count=10, seed=5000, families=THIN, resolutions=RESOLUTIONS, meshes=True, cache_dir="cache")
    surfaces = source.surfaces()[:: arguments.every]
    print(f"{len(surfaces)} shapes: {', '.join(surface.name for surface in surfaces)}")
    header = " | ".join(f"{100 * level:g} % CD | P2M" for level in arguments.levels)
    print(f"| method | {header} | s |\n|{'---|' * (2 * len(arguments.levels) + 2)}")
    for name in arguments.methods or [name for name in method_names() if name != "learned"]:
        method, seconds, cells = denoising_method(name), 0.0, []
        for level in arguments.levels:
            scores = []
            for draw, (number, surface) in product(range(arguments.draws), enumerate(surfaces)):
                clean = np.asarray(surface.clouds[arguments.points][0], dtype=np.float64)
                # numpy ignores zeros at the end of a seed: the first draw is that of shape and level alone
                rng = np.random.default_rng([number, round(1e4 * level), draw])
                noisy = clean + level * rng.standard_normal(clean.shape)
                started = time.perf_counter()
                result = method(noisy, level if arguments.told else None, surface.mesh)
                seconds += time.perf_counter() - started
                assert surface.mesh is not None
                scores.append((chamfer_distance(result, clean), point_to_mesh_distance(result, *surface.mesh).total))
            cells += [f"{1e4 * score:.3f}" for score in np.mean(scores, axis=0)]
        each = seconds / (len(surfaces) * len(arguments.levels) * arguments.draws)
        print(f"| {name} | {' | '.join(cells)} | {each:.1f} |", flush=True)


if __name__ == "__main__":
    main()
