"""Print whether the intermediates of a diffusion run are the clean points plus Gaussian noise, made in two ways.

    python tools/nearest_point_intermediates.py

A shape of our own gets the noise of step T, `x_a^T = x^0 + sigma_T eps`. Its intermediates `x_a^t` are made

    forward   by the Gaussian forward process, given both ends (`pcdenoise.losses.sbd.bridge`, what the loss draws)
    nearest   by assignment: `c + sigma_t / sigma_T (x_a^T - c)`, c the clean point nearest to x_a^T

and the coordinates of `(x_a^t - x^0) / sigma_t`, all of them together, are tested for a Gaussian (Jarque & Bera 1980).
At T both are the noisy cloud. Below it the nearest point is another one than the point that the noise was added to, and
what is left of the way between the two is no Gaussian.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.stats import jarque_bera
from torch import Tensor

from pcdenoise.datasets.shapes import make_shape
from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.sampling import poisson_disk
from pcdenoise.losses.sbd import bridge
from pcdenoise.schedules import VariancePreserving


@dataclass(frozen=True)
class Residuals:
    """The standard deviation of the residuals of one step, in sigma_t, and their Jarque-Bera test."""

    spread: float
    statistic: float
    p_value: float


def compare(
    clean: Tensor, unit: float, sigmas: Sequence[float], generator: torch.Generator
) -> Iterator[tuple[float, Residuals, Residuals]]:
    """For each sigma_t, in units of `unit`, rising to sigma_T: itself, the test of `forward` and that of `nearest`.

    Args:
        clean: (n, 3) float64, x^0.
        unit: spacing of the cloud.
        sigmas: noise of the rescaled iterates, the last one sigma_T.
        generator: of all noise.
    """
    ones = torch.ones(len(clean), 1)
    highest = sigmas[-1] * unit * ones
    noisy = clean + highest * torch.randn(clean.shape, generator=generator)
    nearest = clean[torch.from_numpy(cKDTree(clean.numpy()).query(noisy.numpy())[1])]
    for level in sigmas:
        sigma = level * unit * ones
        forward = bridge(clean, noisy, sigma, highest, generator)
        assigned = nearest + sigma / highest * (noisy - nearest)
        yield level, _tested((forward - clean) / sigma), _tested((assigned - clean) / sigma)


def _tested(residuals: Tensor) -> Residuals:
    values = residuals.numpy().ravel()
    result = jarque_bera(values)
    return Residuals(float(values.std()), float(result.statistic), float(result.pvalue))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, default=0, help="number of the shape")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--noise", type=float, default=2.0, help="about sigma_T, in spacings")
    parser.add_argument("--every", type=int, default=8, help="show every so many steps, counted from T")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    vertices, faces = make_shape(arguments.shape)
    clean = poisson_disk(vertices, faces, arguments.points, np.random.default_rng(arguments.seed))[0]
    sigmas = VariancePreserving().sigmas()
    last = int(np.searchsorted(sigmas, arguments.noise, side="right"))
    steps = range(last, 0, -arguments.every)[::-1]
    generator = torch.Generator().manual_seed(arguments.seed)
    print(f"{'':4s} {'':8s} {'forward':>28s}   {'nearest':>28s}")
    print(f"{'t':>4s} {'sigma_t':>8s} " + "   ".join([f"{'std':>6s} {'JB':>12s} {'p':>8s}"] * 2))
    rows = compare(torch.from_numpy(clean), spacing(clean), [float(sigmas[t - 1]) for t in steps], generator)
    for t, (level, *tests) in zip(steps, rows, strict=True):
        cells = "   ".join(f"{test.spread:6.2f} {test.statistic:12.2f} {test.p_value:8.2g}" for test in tests)
        print(f"{t:4d} {level:8.3f} {cells}")


if __name__ == "__main__":
    main()
