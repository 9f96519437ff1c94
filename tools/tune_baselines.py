"""Choose the parameters of the classical denoisers by the noise, on shapes that are for choosing.

    python tools/tune_baselines.py data/meshes/val                       prints the rows of all methods
    python tools/tune_baselines.py data/meshes/val jet mls --write       puts them into conf/method/

Shapes are sampled by Poisson disk at 10,000 and 50,000 points and get Gaussian noise of 1, 2 and 3 % of the unit
sphere. Of a small grid, each of these six cases keeps the values with the lowest mean Chamfer distance, the method
being told the noise; the row stands at the mean noise of the case, in spacings of the noisy clouds. Few shapes are
enough to rank values, and slow methods take fewer.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.config import config_dir, instantiate
from pcdenoise.datasets.folder import Folder
from pcdenoise.denoisers.catalogue import method_config
from pcdenoise.geometry.frame import Frame
from pcdenoise.metrics.chamfer import chamfer_distance

RESOLUTIONS = (10_000, 50_000)
LEVELS = (0.01, 0.02, 0.03)
GRIDS: dict[str, dict[str, list[float]]] = {
    "jet": {"neighbours": [16, 24, 32, 64, 128, 192]},
    "bilateral": {"neighbours": [16, 32, 64], "sharpness": [30.0, 60.0], "passes": [2, 4]},
    "wlop": {"radius": [2.5, 4.0]},
    "apss": {"neighbours": [48, 96, 160, 240]},
    "rimls": {"scale": [4.0, 6.0], "sharpness": [0.75, 2.0]},
    "mls": {"neighbours": [64, 112, 192]},
    "guided": {"neighbours": [16, 32, 64], "softness": [1.0, 2.0, 4.0], "passes": [1, 2, 3]},
    "laplacian": {"neighbours": [8, 16, 32], "passes": [1, 2, 4, 8]},
    "taubin": {"neighbours": [16, 32, 64], "passes": [5, 10, 20, 40]},
    "glr": {"fidelity": [0.2, 0.35, 0.6, 1.0]},
}
SHAPES = {10_000: 3, 50_000: 1}
FEWER = {
    "jet": {10_000: 2, 50_000: 1},
    "apss": {10_000: 2, 50_000: 1},
    "rimls": {10_000: 2, 50_000: 1},
    "mls": {10_000: 2, 50_000: 1},
    "wlop": {10_000: 1, 50_000: 0},
    "glr": {10_000: 1, 50_000: 0},
}

Case = list[tuple[NDArray[np.float64], NDArray[np.float64], float]]


def cases(root: Path, shapes: dict[int, int]) -> list[Case]:
    """Clean cloud, noisy cloud and sigma of some shapes, for each resolution and level."""
    surfaces = Folder(root, seed=0, resolutions=RESOLUTIONS, meshes=True, cache_dir="cache").surfaces()
    found = []
    for n in RESOLUTIONS:
        for level in LEVELS:
            case: Case = []
            for number, surface in enumerate(surfaces[:: max(1, len(surfaces) // shapes[n])] if shapes[n] else ()):
                clean = np.asarray(surface.clouds[n][0], dtype=np.float64)
                rng = np.random.default_rng([number, n, round(1e4 * level)])
                case.append((clean, clean + level * rng.standard_normal(clean.shape), level))
            if case:
                found.append(case[: shapes[n]])
    return found


def tune(name: str, case: Case) -> dict[str, float]:
    """The row of one method and case; prints the score of each point of the grid."""
    grid = GRIDS[name]
    scores = []
    for values in itertools.product(*grid.values()):
        parameters = dict(zip(grid, values, strict=True))
        method = instantiate({**method_config(name), "tuned": [], **parameters})
        score = float(np.mean([1e4 * chamfer_distance(method(noisy, sigma), clean) for clean, noisy, sigma in case]))
        print(f"    {parameters} {score:.3f}", flush=True)
        scores.append((score, parameters))
    noise = float(np.mean([sigma / Frame.of(noisy).scale for _, noisy, sigma in case]))
    return {"noise": round(noise, 2), **min(scores, key=lambda pair: pair[0])[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a folder of meshes")
    parser.add_argument("methods", nargs="*", default=list(GRIDS), help=f"default: {' '.join(GRIDS)}")
    parser.add_argument("--write", action="store_true", help="put the rows into conf/method/")
    arguments = parser.parse_args()
    for name in arguments.methods:
        rows = sorted((tune(name, case) for case in cases(arguments.root, FEWER.get(name, SHAPES))), key=_noise)
        text = "".join(f"  - {{{', '.join(f'{key}: {value}' for key, value in row.items())}}}\n" for row in rows)
        print(f"{name}\n{text}", flush=True)
        if arguments.write:
            path = config_dir() / "method" / f"{name}.yaml"
            before = path.read_text().partition("tuned:")[0]
            path.write_text(
                f"{before}tuned: # the row whose noise, in spacings, is nearest replaces the values above\n{text}"
            )


def _noise(row: dict[str, Any]) -> float:
    return float(row["noise"])


if __name__ == "__main__":
    main()
