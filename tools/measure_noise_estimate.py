"""Print how far `estimate_noise`, or `noise_level`, is from the truth on shapes whose noise is known.

    python tools/measure_noise_estimate.py --data data/meshes/val [--network]

Each shape is sampled by Poisson disk, and each row adds Gaussian noise of 0 to 4 spacings of the clean cloud. The first
column is the estimate on the clean cloud in spacings, the others are estimate / truth.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from pcdenoise.denoisers.noise_level import noise_level
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.noise import estimate_noise, spacing
from pcdenoise.geometry.sampling import poisson_disk

LEVELS = (0.25, 0.5, 1.0, 2.0, 4.0)


def shapes(folder: Path | None, every: int) -> Iterator[tuple[str, trimesh.Trimesh]]:
    """A sphere, a plane, a box, and the meshes of the folder."""
    yield "(sphere)", trimesh.creation.icosphere(subdivisions=6)
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    yield "(plane)", trimesh.Trimesh(square, [[0, 1, 2], [0, 2, 3]], process=False)
    yield "(box)", trimesh.creation.box((1.0, 0.7, 0.4))
    for path in sorted(folder.glob("*.off"))[::every] if folder else ():
        yield path.stem, trimesh.load_mesh(path, process=False)


def by_network(points: NDArray[np.float64]) -> float:
    """What the networks are told, in the unit of the points."""
    frame = Frame.of(points)
    return frame.scale * noise_level(frame.to_local(points))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of .off meshes")
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 50_000], help="points per cloud")
    parser.add_argument("--every", type=int, default=1, help="take every so many meshes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", action="store_true", help="of `noise_level` instead of `estimate_noise`")
    arguments = parser.parse_args()
    estimate = by_network if arguments.network else estimate_noise

    print(f"{'shape':20s} {'points':>7s} {'clean':>7s} " + " ".join(f"{level:>6}" for level in LEVELS))
    ratios: dict[float, list[float]] = {level: [] for level in LEVELS}
    clean_estimates = []
    for name, mesh in shapes(arguments.data, arguments.every):
        for n in arguments.points:
            rng = np.random.default_rng(arguments.seed)
            clean: NDArray[np.float64] = poisson_disk(mesh.vertices, mesh.faces, n, rng)[0]
            unit = spacing(clean)
            clean_estimates.append(estimate(clean) / unit)
            for level in LEVELS:
                noisy = clean + level * unit * rng.normal(size=clean.shape)
                ratios[level].append(estimate(noisy) / (level * unit))
            row = " ".join(f"{ratios[level][-1]:6.2f}" for level in LEVELS)
            print(f"{name:20s} {n:7d} {clean_estimates[-1]:7.3f} {row}", flush=True)
    within = " ".join(f"{np.mean(np.abs(np.array(ratios[level]) - 1) <= 0.15):6.0%}" for level in LEVELS)
    print(f"{'within 15 %':20s} {'':7s} {np.mean(np.array(clean_estimates) <= 0.1):7.0%} {within}")


if __name__ == "__main__":
    main()
