"""Print how often the Jarque-Bera tests of `pcdenoise check` reject: false alarms, and power.

    python tools/measure_jarque_bera.py

Three tables. Gaussian samples: the share rejected by the simulated p-value and by the chi-square limit. Samples of
other distributions: the share that the simulated p-value rejects at 0.05. Residuals: a sphere and a box of 20,000
points with Gaussian noise of half a spacing (unless the row says another), and what was made of them; the share of
neighbourhoods along the normal with p <= 0.05, and, at a false discovery rate of 0.05, of those that are not Gaussian
and of those that are not about zero; then, of all residuals together, the mean in standard deviations, the excess
kurtosis and the p-value.
"""

import argparse
from collections.abc import Callable

import numpy as np
import trimesh
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.sampling import poisson_disk
from pcdenoise.metrics.jarque_bera import JarqueBera, jarque_bera
from pcdenoise.metrics.residuals import SurfaceFrames, check_residuals

ALPHA = 0.05
SIZES = (16, 32, 64, 128, 1000)
NEIGHBOURHOODS = (32, 64, 128)
POINTS = 20_000
NOISE = 0.5  # spacings
BLOCK = 1 << 21  # numbers drawn at once

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Values]


def two_sided(rng: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Half of the values about -1.5, half about 1.5."""
    return np.asarray(rng.choice([-1.5, 1.5], shape) + rng.standard_normal(shape))


def two_levels(rng: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Half of the values with three times the deviation of the others."""
    return np.asarray(rng.choice([1.0, 3.0], shape) * rng.standard_normal(shape))


DISTRIBUTIONS: dict[str, Draw] = {
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "Student, 5 degrees of freedom": lambda rng, shape: rng.standard_t(5, shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "Gaussian of two levels, 1 and 3": two_levels,
    "Gaussian about -1.5 and 1.5": two_sided,
    "uniform": lambda rng, shape: rng.uniform(size=shape),
}


def gaussian(rng: np.random.Generator, shape: tuple[int, int]) -> Values:
    return rng.standard_normal(shape)


def tested(draw: Draw, n: int, trials: int, seed: int) -> JarqueBera:
    """Tests of `trials` samples of n."""
    rng = np.random.default_rng([seed, n])
    rows = max(1, BLOCK // n)
    parts = [jarque_bera(draw(rng, (min(rows, trials - r), n))) for r in range(0, trials, rows)]
    names = ("skewness", "excess_kurtosis", "statistic", "p_value", "limit_p_value")
    return JarqueBera(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def false_alarms(trials: int, seed: int) -> Table:
    table = Table(title=f"Gaussian samples, {trials:,} each: rejected")
    for name in ("n", "p <= 0.05, simulated", "chi-square", "p <= 0.01, simulated", "chi-square"):
        table.add_column(name, justify="right")
    for n in (*SIZES, 10_000):
        found = tested(gaussian, n, trials, seed)
        shares = [(p <= level).mean() for level in (0.05, 0.01) for p in (found.p_value, found.limit_p_value)]
        table.add_row(f"{n:,}", *(f"{share:.2%}" for share in shares))
    return table


def power(trials: int, seed: int) -> Table:
    table = Table(title=f"Samples of other distributions, {trials:,} each: rejected at {ALPHA}")
    table.add_column("")
    for n in SIZES:
        table.add_column(f"n = {n:,}", justify="right")
    for name, draw in DISTRIBUTIONS.items():
        shares = [(tested(draw, n, trials, seed).p_value <= ALPHA).mean() for n in SIZES]
        table.add_row(name, *(f"{share:.1%}" for share in shares))
    return table


def sampled(mesh: trimesh.Trimesh, rng: np.random.Generator) -> tuple[Values, float]:
    """A clean cloud and its spacing."""
    points, _ = poisson_disk(mesh.vertices, mesh.faces, POINTS, rng)
    return points, spacing(points)


def planed(points: Values, half: Values, depth: float) -> Values:
    """A box about the origin with its edges cut off at 45 degrees, `depth` below where they were."""
    inside = half - np.abs(points)  # to the nearer face of each axis
    moved = np.abs(points)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        lack = np.maximum(np.sqrt(2) * depth - inside[:, a] - inside[:, b], 0) / 2
        moved[:, a] -= lack
        moved[:, b] -= lack
    return np.sign(points) * moved


def averaged(points: Values, k: int) -> Values:
    """Each point at the mean of the k nearest."""
    return np.asarray(points[knn(points, k, include_self=True)[1]].mean(axis=1))


def denoised(seed: int) -> list[tuple[str, Values, Values]]:
    """What was done, the noisy cloud, the denoised cloud."""
    rng = np.random.default_rng(seed)
    sphere, unit = sampled(trimesh.creation.icosphere(subdivisions=6), rng)
    half = np.array([0.5, 0.35, 0.25])
    box, pitch = sampled(trimesh.creation.box(2 * half), rng)
    noise = NOISE * rng.standard_normal(box.shape)
    round_, square = sphere + unit * noise, box + pitch * noise
    level = np.exp(np.log(4) * sphere[:, :1])  # sixteen times from one end to the other
    waves = np.stack([np.sin(8 * sphere @ rng.standard_normal((3, 8))).sum(axis=1) for _ in range(3)], axis=1) / 2
    sigma = NOISE * pitch
    return [
        ("sphere: exactly", round_, sphere),
        ("box: exactly", square, box),
        ("box: edges planed off, 1 sigma deep", square, planed(box, half, sigma)),
        ("box: edges planed off, 2 sigma deep", square, planed(box, half, 2 * sigma)),
        ("box: edges planed off, 4 sigma deep", square, planed(box, half, 4 * sigma)),
        ("box: mean of 16 nearest", square, averaged(square, 16)),
        ("box: mean of 64 nearest", square, averaged(square, 64)),
        ("sphere: mean of 64 nearest", round_, averaged(round_, 64)),
        ("sphere: exactly, but shrunk by 1 sigma", round_, (1 - NOISE * unit) * sphere),
        ("sphere: exactly, but shrunk by 4 sigma", round_, (1 - 4 * NOISE * unit) * sphere),
        ("sphere: half of the noise taken", round_, (sphere + round_) / 2),
        ("sphere, level varies 16 times: exactly", sphere + unit * level * noise, sphere),
        ("sphere, Laplace noise: exactly", sphere + unit * NOISE * rng.laplace(size=sphere.shape), sphere),
        ("sphere, noise in waves: exactly", sphere + unit * NOISE * waves, sphere),
    ]


def residuals(seed: int) -> Table:
    table = Table(title="Residuals along the normal: neighbourhoods of k points, and all together")
    table.add_column("", no_wrap=True)
    for k in NEIGHBOURHOODS:
        for name in (f"k = {k}\np <= 0.05", "\nfails", "\nshifted"):
            table.add_column(name, justify="right", no_wrap=True)
    for name in ("all together\nmean / std", "excess\nkurtosis", "\np"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, noisy, result in denoised(seed):
        cells = []
        for k in NEIGHBOURHOODS:
            check = check_residuals(noisy - result, SurfaceFrames.of(result, k), ALPHA)
            normal = check.directions["normal"]
            cells += [f"{normal.low:.0%}", f"{normal.failing:.1%}", f"{normal.shifted:.1%}"]
        together = f"{normal.mean / normal.deviation:+.2f}", f"{normal.excess_kurtosis:+.2f}", f"{normal.p_value:.1g}"
        table.add_row(name, *cells, *together)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000, help="samples per cell of the first two tables")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    console = Console(width=180)
    console.print(false_alarms(arguments.trials, arguments.seed))
    console.print(power(arguments.trials, arguments.seed))
    console.print(residuals(arguments.seed))


if __name__ == "__main__":
    main()
