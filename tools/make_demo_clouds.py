"""Make the three noisy clouds in data/, and their clean counterparts on request.

    python tools/make_demo_clouds.py data
    python tools/make_demo_clouds.py data --clean some/other/folder

Each is a procedural shape, sampled evenly, coloured, and blurred by Gaussian noise. Nothing is downloaded.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.cloud import PointCloud
from pcdenoise.datasets.noise_models import Gaussian
from pcdenoise.datasets.shapes import FAMILIES
from pcdenoise.datasets.unit_sphere import unit_sphere
from pcdenoise.geometry.sampling import poisson_disk
from pcdenoise.io import write

Colouring = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Demo:
    """One cloud: a shape family and its seed, the number of points, the noise relative to the radius, the colours."""

    name: str
    family: str
    seed: int
    count: int
    level: float
    colouring: Colouring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the noisy clouds go")
    parser.add_argument("--clean", type=Path, help="where the clean clouds go: same points, same order")
    arguments = parser.parse_args()
    for demo in DEMOS:
        clean, noisy, spacing = make(demo)
        for cloud, folder in ((noisy, arguments.folder), (clean, arguments.clean)):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                write(cloud, folder / f"{demo.name}.ply", overwrite=True)
        print(f"{demo.name}: {len(noisy)} points, spacing {spacing:.4f}, noise {demo.level / spacing:.2f} spacings")


def make(demo: Demo) -> tuple[PointCloud, PointCloud, float]:
    """The clean cloud, the noisy cloud and the median distance of a clean point to its nearest neighbour."""
    vertices, faces = FAMILIES[demo.family](np.random.default_rng(demo.seed))
    rng = np.random.default_rng([demo.seed, 1])
    points, _ = poisson_disk(unit_sphere(vertices), faces, demo.count, rng)
    points = points[rng.permutation(len(points))]
    colors = np.rint(255 * demo.colouring(points)).astype(np.uint8)
    noisy = Gaussian(demo.level)(points, rng)
    nearest = np.asarray(cKDTree(points).query(points, k=[2])[0])
    spacing = float(np.median(nearest))
    clean_cloud, noisy_cloud = (_cloud(p, colors) for p in (points, noisy))
    return clean_cloud, noisy_cloud, spacing


def _cloud(points: NDArray[np.float64], colors: NDArray[np.uint8]) -> PointCloud:
    return PointCloud(points, {"colors": colors})


def _rings(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brushed metal: grey-blue below, copper above, with a polar checker."""
    radius, angle = np.hypot(points[:, 0], points[:, 1]), np.arctan2(points[:, 1], points[:, 0])
    checker = (np.floor(radius / 0.12) + np.floor(angle / (np.pi / 12)) + np.floor(points[:, 2] / 0.12)) % 2
    height = (points[:, 2] - points[:, 2].min()) / np.ptp(points[:, 2])
    steel, copper = np.array([0.36, 0.50, 0.66]), np.array([0.86, 0.52, 0.27])
    metal: NDArray[np.float64] = steel + height[:, None] * (copper - steel)
    return metal * (0.84 + 0.16 * checker[:, None])


def _turning(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rainbow around the vertical axis with dark rings."""
    angle = (np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)) % 1
    stripes = 0.9 + 0.1 * np.sign(np.sin(24 * points[:, 2]))
    hues: NDArray[np.float64] = colormaps["twilight_shifted"](0.15 + 0.7 * np.abs(2 * angle - 1))[:, :3]
    return hues * stripes[:, None]


def _hide(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brown spots on cream."""
    spots = np.sin(9 * points[:, 0] + 2 * np.sin(5 * points[:, 1])) + np.sin(8 * points[:, 2] + 4 * points[:, 1])
    share = 1 / (1 + np.exp(-12 * (spots - 0.45)))
    cream, brown = np.array([0.94, 0.88, 0.78]), np.array([0.50, 0.30, 0.18])
    hide: NDArray[np.float64] = cream + share[:, None] * (brown - cream)
    return hide


DEMOS = (
    Demo("flange", "machined", 14, 18_000, 0.012, _rings),
    Demo("sheet", "shells", 22, 18_000, 0.007, _turning),
    Demo("calf", "creatures", 1, 16_000, 0.008, _hide),
)

if __name__ == "__main__":
    main()
