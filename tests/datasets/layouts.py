"""Tiny copies of the layouts that data sets come in."""

from pathlib import Path

import numpy as np

from pcdenoise.datasets.lofts import hull
from pcdenoise.geometry.sampling import poisson_disk

CUBE = hull(np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float))


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [" ".join(map(str, v)) for v in vertices] + [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text("\n".join(["OFF", f"{len(vertices)} {len(faces)} 0", *rows]) + "\n")


def write_xyz(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, points, fmt="%.6f")


def write_pu_net(root: Path, names: tuple[str, ...] = ("cube", "wedge"), split: str = "train", examples=None) -> None:
    """Cubes of edge 4 with clouds of 200 and 600 points, and noisy ones in a folder `examples`."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(names):
        write_off(root / "meshes" / split / f"{name}.off", 2 * CUBE[0] + i, CUBE[1])
        for n in (200, 600):
            points, _ = poisson_disk(2 * CUBE[0] + i, CUBE[1], n, np.random.default_rng(n))
            write_xyz(root / "pointclouds" / split / f"{n}_poisson" / f"{name}.xyz", points)
            if examples:
                noisy = points + 0.02 * np.sqrt(12) * rng.standard_normal(points.shape)
                write_xyz(examples / f"PUNet_{n}_poisson_0.02" / f"{name}.xyz", noisy)
