"""Compute the constants of `pcdenoise.geometry.noise._CALIBRATION`: what a noisy plane leaves around a quadric.

    python tools/calibrate_noise.py

A square sampled by Poisson disk with 50,000 points (spacing 1) gets Gaussian noise of 0.1 to 8 spacings; at 4,000
points away from its border the lower quartile of residual / radius is measured for each k of the ladder. Then the three
numbers of `T(x) = ((gain x)^-p + ceiling^-p)^(-1/p)` are fitted to log T by least squares. No other shape is involved.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from pcdenoise.geometry.noise import QUANTILE, sheet_profile, sheet_residuals
from pcdenoise.geometry.sampling import poisson_disk

LADDER = (16, 24, 36, 54, 80, 120, 180, 270, 400, 600, 900)
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
N = 50_000

Values = NDArray[np.float64]


def main() -> None:
    rng = np.random.default_rng(0)
    side = np.sqrt(N)
    corners = side * np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    plane, _ = poisson_disk(corners, np.array([[0, 1, 2], [0, 2, 3]]), N, rng)
    measured: dict[int, list[tuple[float, float]]] = {k: [] for k in LADDER}
    for level in LEVELS:
        noisy = plane + level * rng.normal(size=plane.shape)
        tree = cKDTree(noisy, balanced_tree=False)
        inside = noisy[(np.abs(noisy[:, :2] - side / 2) < side / 2 - 30).all(axis=1)]
        queries = rng.permutation(inside)[:4_000]
        for k in LADDER:
            residual, radius, _ = sheet_residuals(noisy, tree, queries, k)
            measured[k].append((level / np.median(radius), float(np.quantile(residual / radius, QUANTILE))))
    for k, pairs in measured.items():
        ratio, value = np.array(pairs).T

        def misfit(shape: Values, ratio: Values = ratio, value: Values = value) -> Values:
            return np.asarray(np.log(sheet_profile(ratio, *np.exp(shape)) / value))

        fit = least_squares(misfit, np.log([0.9, 0.35, 3.0]))
        gain, ceiling, sharpness = np.exp(fit.x)
        print(f"    {k}: ({gain:.4f}, {ceiling:.4f}, {sharpness:.3f}),  # misfit up to {np.abs(fit.fun).max():.1%}")


if __name__ == "__main__":
    main()
