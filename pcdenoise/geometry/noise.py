"""How dense a cloud is and how noisy, measured on the cloud alone."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.spatial import cKDTree

from pcdenoise.errors import InputError
from pcdenoise.geometry.neighbours import build_tree, knn, query_tree

SPACING_NEIGHBOURS = 8
_SPACING_SAMPLE = 20_000

SAMPLES = 1_000
_BLOCK = 1 << 16  # neighbours held at once
QUANTILE = 0.25
# Chosen on every fourth training mesh (tools/measure_noise_estimate.py --every 4), for most estimates within 15 %.
_RESOLVED = 0.95
_WIDER = 3  # steps of the ladder
_GROWTH = 0.5
_LEAST_SHARE = 0.88
_EXCESS = 1.06
_SHEET_KURTOSIS, _TWO_SHEETS, _LEAST_SHEET, _SHEETS_APART = -0.5, 1.8, 0.25, 0.2
# k: (gain, ceiling, sharpness) of `sheet_profile`, from tools/calibrate_noise.py
_CALIBRATION: dict[int, tuple[float, float, float]] = {
    16: (0.8044, 0.3188, 4.045),
    24: (0.8604, 0.3471, 3.840),
    36: (0.8929, 0.3672, 3.511),
    54: (0.9169, 0.3819, 3.343),
    80: (0.9327, 0.3927, 3.193),
    120: (0.9460, 0.4019, 3.080),
    180: (0.9561, 0.4084, 2.990),
    270: (0.9644, 0.4143, 2.919),
    400: (0.9710, 0.4214, 2.830),
    600: (0.9760, 0.4296, 2.754),
    900: (0.9805, 0.4394, 2.686),
}


def spacing(points: NDArray[np.float64]) -> float:
    """The cloud's spacing `s`: the unit of length throughout the project.

    With `d_8` the distance from a point to its 8th nearest neighbour,

        s = median(d_8) / sqrt(8 / pi)

    A surface with one point per area s^2 has 8 points on a disc of radius `s sqrt(8 / pi)`, hence `s` is about
    1 / sqrt(density), the pitch of a square grid as dense as the cloud (4 % more on a Poisson-disk sampling, whose
    points keep their distance from the one that is asked about). Noise of more than about half a spacing
    spreads the points into the third dimension and so inflates `s`: it is what is measured on the given cloud, not
    on the clean one behind it. The median is taken over at most 20,000 points, whose choice depends on where
    they lie and not on the order of the rows.

    Args:
        points: (n, 3), finite.

    Returns:
        A length in the unit of `points`; 0 for less than two points, or if most of them coincide.

    Raises:
        InputError: coordinates not finite.
    """
    k = min(SPACING_NEIGHBOURS, len(points) - 1)
    if k < 1:
        return 0.0
    if len(points) <= _SPACING_SAMPLE:
        distances, _ = knn(points, k)
    else:
        # among all points each one finds itself first
        distances, _ = knn(points, k + 1, scattered(points, _SPACING_SAMPLE))
    return float(np.median(distances[:, -1]) / np.sqrt(k / np.pi))


def estimate_noise(points: NDArray[np.float64], samples: int = SAMPLES) -> float:
    """The standard deviation, per coordinate, of isotropic Gaussian noise on a sampled surface, from the cloud alone.

    At `samples` of the points the `k` nearest neighbours are taken, once around the point and again around its foot on
    the quadric fitted to the first. `s_q = sqrt(|residuals|^2 / (k - 6))` is what a quadric over the plane of least
    variance leaves of the second, and `r_q` is their radius. Noise wider than the ball looks like the ball: a noisy
    plane leaves `r T_k(sigma / r)`, where `T_k` grows in proportion at first and ends at a ceiling (`sheet_profile`).
    So the estimate at k is the sigma_k that solves

        quantile_q( s_q / (r_q T_k(sigma_k / r_q)), 1/4 ) = 1.

    The lower quarter, and not the mean, because edges, details, a second sheet and outliers can only add to `s_q`. Of
    k = 16, 24, ... 900 the smallest counts whose ball is wide enough to tell sigma (`T_k` under 95 % of its ceiling):
    the narrower the ball, the less of the shape is mistaken for noise. What is mistaken still, is seen from its growth
    in the ball of K neighbours three steps further, where the estimate on a plane would be the same:

        sigma = sigma_k max(0.88, min(1, sigma_k / sigma_K)^(1/2)) w(kappa) / 1.06

    (no more than 12 %, because a ball that reaches another part of the surface grows without any curvature).

    The two sides of a thin wall are no noise, yet no ball that holds both can tell by its residual alone. Their
    residuals have two peaks, and so an excess kurtosis `kappa` far below that of a noisy sheet, which lies between -0.5
    and -0.3 whatever sigma and k. Its median over the balls lowers the estimate by `w = 1 - 1.8 (-0.5 - kappa)`, at
    most 1 and at least 1/4, though not below a fifth of the spacing: sides nearer than that are the steps of a
    quantised depth. Slope and start were chosen on the validation shapes and on procedural shells.

    It is accurate where a fair part of the surface is smooth over three or four sigma.

    Args:
        points: (n, 3), finite. Coincident points count once.
        samples: at so many points it is measured; fewer take less time, and the estimate scatters more.

    Returns:
        A length in the unit of `points`; 0 for less than 17 different points, and for points on one line or plane.

    Raises:
        InputError: coordinates not finite.
    """
    points = np.asarray(points, dtype=np.float64)
    if not np.isfinite(points).all():
        raise InputError("coordinates are not finite; drop such rows before estimating the noise")
    points = _distinct(points)
    if len(points) <= min(_CALIBRATION):
        return 0.0
    points -= np.median(points, axis=0)
    tree = build_tree(points)
    queries = points[_ranks(len(points), samples)]
    ladder = [k for k in _CALIBRATION if k <= max(len(points) // 4, min(_CALIBRATION))]

    def estimate(k: int) -> tuple[float, bool, float]:
        residual, radius, kurtosis = sheet_residuals(points, tree, queries, k)
        return *_sheet_sigma(residual, radius, *_CALIBRATION[k]), float(np.median(kurtosis))

    for step in range(len(ladder)):
        sigma, resolved, kurtosis = estimate(ladder[step])
        if resolved:
            break
    if sigma == 0:
        return 0.0
    wider, _, _ = estimate(ladder[min(step + _WIDER, len(ladder) - 1)])
    growth = max(_LEAST_SHARE, min(1.0, sigma / wider) ** _GROWTH)
    one_sheet = float(np.clip(1 - _TWO_SHEETS * (_SHEET_KURTOSIS - kurtosis), _LEAST_SHEET, 1.0))
    sigma *= growth / _EXCESS
    # a query finds itself first
    eighth = np.median(query_tree(tree, queries, SPACING_NEIGHBOURS + 1)[0][:, -1])
    return float(max(sigma * one_sheet, min(sigma, _SHEETS_APART * eighth / np.sqrt(SPACING_NEIGHBOURS / np.pi))))


def _distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points without repetition, in lexicographic order."""
    points = points[np.lexsort(points.T)]
    first = np.ones(len(points), dtype=np.bool_)
    first[1:] = (points[1:] != points[:-1]).any(axis=1)
    return points[first]


def sheet_profile(ratio: NDArray[np.float64], gain: float, ceiling: float, sharpness: float) -> NDArray[np.float64]:
    """`T(sigma / r)`: lower quartile of residual / radius over balls of k neighbours on a noisy plane.

        T(x) = ((gain x)^-p + ceiling^-p)^(-1/p)

    In a thin sheet it is `gain x`, a quartile of a scaled chi distribution; a ball full of points leaves the
    `ceiling`.
    """
    below: NDArray[np.float64] = gain * ratio / (1 + (gain * ratio / ceiling) ** sharpness) ** (1 / sharpness)
    return below


def _sheet_sigma(
    residual: NDArray[np.float64], radius: NDArray[np.float64], gain: float, ceiling: float, sharpness: float
) -> tuple[float, bool]:
    """The sigma whose noisy plane leaves these residuals (m,) in balls of these radii (m,); whether they can tell."""
    highest = 2.0 * float(np.median(radius))

    def excess(sigma: float) -> float:
        expected = radius * sheet_profile(sigma / radius, gain, ceiling, sharpness)
        return float(np.quantile(residual / expected, QUANTILE)) - 1

    lowest = 1e-9 * highest
    if excess(lowest) <= 0:
        return 0.0, True
    if excess(highest) >= 0:
        return highest, False
    sigma = float(brentq(excess, lowest, highest, xtol=1e-6 * lowest, rtol=1e-6))
    fullness = np.median(sheet_profile(sigma / radius, gain, ceiling, sharpness)) / ceiling
    return sigma, bool(fullness <= _RESOLVED)


def sheet_residuals(
    points: NDArray[np.float64], tree: cKDTree, queries: NDArray[np.float64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What a quadric leaves of the `k` points around the foot of each query on the surface.

    Args:
        points: (n, 3), distinct, about the origin.
        tree: the same points.
        queries: (m, 3).
        k: neighbours, more than 6.

    Returns:
        residual (m,), the root mean square with k - 6 degrees of freedom; radius (m,), the distance of the k-th; and
        the excess kurtosis (m,) of what is left.
    """
    residual, radius, kurtosis = np.empty((3, len(queries)))
    block = max(1, _BLOCK // k)
    for first in range(0, len(queries), block):
        rows = slice(first, first + block)
        centres = queries[rows]
        distances, indices = query_tree(tree, centres, k)
        lift = _fit_quadrics(points[indices] - centres[:, None], distances[:, -1])[1]
        centres = centres + lift
        distances, indices = query_tree(tree, centres, k)
        residual[rows], _, kurtosis[rows] = _fit_quadrics(points[indices] - centres[:, None], distances[:, -1])
        radius[rows] = distances[:, -1]
    return residual, radius, kurtosis


def _fit_quadrics(
    neighbours: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Residual (m,) of z = x0 + x1 u + x2 v + x3 u^2 + x4 u v + x5 v^2 the vectors (m, 3) from centre to foot, and the
    excess kurtosis (m,) of what is left.

    (u, v, z) are the principal axes of the neighbours (m, k, 3) of the origin, z that of the least variance.
    """
    k = neighbours.shape[1]
    local = neighbours / radii[:, None, None]
    spread = local - local.mean(axis=1, keepdims=True)
    axes = np.linalg.eigh(np.swapaxes(spread, 1, 2) @ spread)[1]
    z, u, v = np.moveaxis(local @ axes, 2, 0)
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=2)
    transposed = np.swapaxes(terms, 1, 2)
    # points on a line have no quadric: the ridge takes the flattest
    solution = np.linalg.solve(transposed @ terms + 1e-9 * k * np.eye(6), transposed @ z[..., None])
    left = z - (terms @ solution)[..., 0]
    foot = radii * np.clip(solution[:, 0, 0], -1, 1)
    square = left**2
    power = square.sum(axis=1)
    kurtosis = k * (square**2).sum(axis=1) / np.maximum(power**2, np.finfo(float).tiny) - 3
    return radii * np.sqrt(power / (k - 6)), foot[:, None] * axes[:, :, 0], kurtosis


def scattered(points: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """`m` of the points, drawn without replacement: the same ones on every call, and in every order of the rows."""
    return points[np.lexsort(points.T)[_ranks(len(points), m)]]


def _ranks(n: int, m: int) -> NDArray[np.int64]:
    """min(n, m) of the numbers below n, drawn without replacement, in ascending order; always the same."""
    return np.sort(np.random.default_rng(0).choice(n, min(n, m), replace=False))
