"""What a denoiser took away, along the surface's normal and in it: is it Gaussian about zero, and where is it not?"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from pcdenoise.errors import InputError
from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.normals import on_one_side, plane_normals
from pcdenoise.metrics.jarque_bera import false_discoveries_controlled, jarque_bera

DIRECTIONS = ("x", "y", "z", "normal", "tangent 1", "tangent 2")
NEIGHBOURS = 64
_LINKS = 8  # neighbours that a normal may take its side from

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SurfaceFrames:
    """Where the surface runs at each point of a cloud, and which points stand together.

    Attributes:
        normals: (n, 3) unit vectors, as far as can be told all on the outer side of the surface.
        tangents: (n, 2, 3) unit vectors, orthogonal to the normal and to each other.
        groups: (m, k) rows of disjoint neighbourhoods; fewer than k rows belong to none.
        bending: (m,) of the neighbourhoods: `1 - lambda`, lambda the largest eigenvalue of the mean of `n n^T` over
            their normals. 0 where flat, 1/2 on an edge of 90 degrees, at most 2/3.
    """

    normals: Values
    tangents: Values
    groups: NDArray[np.int64]
    bending: Values

    @classmethod
    def of(cls, points: NDArray[Any], neighbours: int = NEIGHBOURS) -> "SurfaceFrames":
        """Estimate them on the denoised cloud, or the clean one where it is known.

        Normals are those of planes; their sides are handed on from point to point along the tree on which they turn
        least (Hoppe et al., Surface reconstruction from unorganized points, SIGGRAPH 1992, section 3.3).

        Args:
            points: (n, 3), finite. The noisy cloud would be a bad choice: the residuals decide where its points lie.
            neighbours: points of a neighbourhood.

        Raises:
            InputError: fewer points than two neighbourhoods, or coordinates not finite.
        """
        points = np.asarray(points, dtype=np.float64)
        if len(points) < 2 * max(neighbours, _LINKS):
            raise InputError(
                f"{len(points):,} points are fewer than two neighbourhoods of {neighbours}; "
                "ask for smaller ones or give a denser cloud"
            )
        normals = on_one_side(points, plane_normals(points), knn(points, _LINKS)[1])
        across = np.eye(3)[np.abs(normals).argmin(axis=1)]
        first = np.cross(normals, across)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        tangents = np.stack([first, np.cross(normals, first)], axis=1)
        groups = disjoint_neighbourhoods(points, neighbours)
        moments = np.swapaxes(normals[groups], 1, 2) @ normals[groups] / neighbours
        largest = np.linalg.eigvalsh(moments)[:, -1]
        return cls(normals, tangents, groups, bending=np.asarray(1 - largest, dtype=np.float64))

    def components(self, residual: Values) -> dict[str, Values]:
        """Residuals (n, 3) along each of `DIRECTIONS`, (n,)."""
        normal = np.einsum("ni,ni->n", residual, self.normals)
        tangential = np.einsum("ni,nti->tn", residual, self.tangents)
        return dict(zip(DIRECTIONS, (*residual.T, normal, *tangential), strict=True))


def disjoint_neighbourhoods(points: Values, size: int) -> NDArray[np.int64]:
    """(n // size, size) rows of points that stand together; no point is in two of them, fewer than `size` in none.

    The cloud is cut across its direction of greatest variance, into parts for half of the neighbourhoods each, until
    every part holds one. Neighbourhoods that overlap would share residuals, and their tests depend on each other.

    Args:
        points: (n, 3), finite.
        size: points of a neighbourhood, 1 to n.
    """

    def cut(rows: NDArray[np.int64], parts: int) -> Iterator[NDArray[np.int64]]:
        if parts == 1:
            yield rows[:size]
            return
        around = points[rows] - points[rows].mean(axis=0)
        along = np.linalg.eigh(around.T @ around)[1][:, -1]
        rows = rows[np.argsort(around @ along, kind="stable")]
        half = parts // 2
        yield from cut(rows[: half * size], half)
        yield from cut(rows[half * size :], parts - half)

    return np.stack(list(cut(np.arange(len(points)), len(points) // size)))


@dataclass(frozen=True)
class DirectionCheck:
    """Residuals in one direction, all together and in each neighbourhood.

    Attributes:
        mean, deviation: of all residuals, in the unit of the cloud; a mean above 0 along the normal lies outside.
        skewness, excess_kurtosis: of all residuals, 0 for a Gaussian: how large a departure is, whatever n.
        statistic, p_value, limit_p_value: of all residuals, see `JarqueBera`.
        tested: neighbourhoods; those whose residuals are all the same are left out.
        low: part of them with p <= alpha; about alpha for independent Gaussian residuals.
        failing: part of them that is not Gaussian, the false discovery rate held at alpha; about 0 for such residuals.
        shifted: part of them whose mean is not 0, the false discovery rate held at alpha; about 0 for such residuals.
    """

    mean: float
    deviation: float
    skewness: float
    excess_kurtosis: float
    statistic: float
    p_value: float
    limit_p_value: float
    tested: int
    low: float
    failing: float
    shifted: float


@dataclass(frozen=True, eq=False)
class ResidualCheck:
    """Whether residuals are Gaussian about zero, in each direction.

    Attributes:
        points: n.
        alpha: level of the tests.
        directions: a check for each of `DIRECTIONS`.
        frames: where the residuals were looked at.
        normal: (n,) residuals along the normal.
        p_values: (m,) of the neighbourhoods along the normal, before correction; NaN where not tested.
        failing: (m,) which of them are not Gaussian along the normal, after correction.
        shifted: (m,) in which of them the mean along the normal is not 0, after correction.
        suspect_curved, suspect_flat: part that fails or is shifted, among the quarter of the neighbourhoods that bend
            most, and among the others.
    """

    points: int
    alpha: float
    directions: dict[str, DirectionCheck]
    frames: SurfaceFrames
    normal: Values
    p_values: Values
    failing: NDArray[np.bool_]
    shifted: NDArray[np.bool_]
    suspect_curved: float
    suspect_flat: float


def check_residuals(residual: NDArray[Any], frames: SurfaceFrames, alpha: float = 0.05, seed: int = 0) -> ResidualCheck:
    """Test residuals in each of `DIRECTIONS`, all together and in each neighbourhood.

    Two questions are asked of a neighbourhood of k residuals: whether they are Gaussian (`jarque_bera`), and whether
    their mean is 0, by the t statistic `mean sqrt(k) / std` of k - 1 degrees of freedom. Shape that was taken from few
    of the points shows in the first, shape that was taken from all of them alike in the second only.

    Noise whose level varies over a scan is Gaussian in each place and yet a mixture, of positive excess kurtosis, on
    the whole: the neighbourhoods decide. All together, tens of thousands of residuals make the smallest departure
    significant: skewness and excess kurtosis say how large it is.

    Args:
        residual: (n, 3), finite; row i belongs to row i of the frames.
        frames: of the denoised or the clean cloud.
        alpha: level of the tests, and false discovery rate over the neighbourhoods of each direction.
        seed: of the simulated p-values.

    Raises:
        InputError: residuals and frames differ in number, or residuals are not finite.
    """
    residual = np.asarray(residual, dtype=np.float64)
    if residual.shape != frames.normals.shape or not np.isfinite(residual).all():
        raise InputError(
            f"residuals of shape {residual.shape} for {len(frames.normals):,} points; give one finite row per point"
        )
    directions, local = {}, {}
    for name, values in frames.components(residual).items():
        local[name] = _Local.of(values[frames.groups], alpha, seed)
        directions[name] = _check(values, local[name], alpha, seed)
    normal = local["normal"]
    suspect = normal.failing | normal.shifted
    curved = frames.bending > np.quantile(frames.bending, 0.75)
    return ResidualCheck(
        points=len(residual),
        alpha=alpha,
        directions=directions,
        frames=frames,
        normal=frames.components(residual)["normal"],
        p_values=normal.p_values,
        failing=normal.failing,
        shifted=normal.shifted,
        suspect_curved=_share(suspect[curved], normal.p_values[curved]),
        suspect_flat=_share(suspect[~curved], normal.p_values[~curved]),
    )


@dataclass(frozen=True, eq=False)
class _Local:
    """The neighbourhoods in one direction; see `ResidualCheck`."""

    p_values: Values
    failing: NDArray[np.bool_]
    shifted: NDArray[np.bool_]

    @classmethod
    def of(cls, samples: Values, alpha: float, seed: int) -> "_Local":
        """Test samples (m, k)."""
        k = samples.shape[1]
        p = jarque_bera(samples, seed).p_value
        # where all residuals are the same there is no statistic, and no test
        error = np.where(np.isfinite(p), samples.std(axis=1, ddof=1) / np.sqrt(k), np.nan)
        about_zero = 2 * stdtr(k - 1, -np.abs(samples.mean(axis=1)) / error)
        return cls(p, false_discoveries_controlled(p, alpha), false_discoveries_controlled(about_zero, alpha))


def _check(values: Values, local: _Local, alpha: float, seed: int) -> DirectionCheck:
    together = jarque_bera(values, seed)
    return DirectionCheck(
        mean=float(values.mean()),
        deviation=float(values.std()),
        skewness=float(together.skewness),
        excess_kurtosis=float(together.excess_kurtosis),
        statistic=float(together.statistic),
        p_value=float(together.p_value),
        limit_p_value=float(together.limit_p_value),
        tested=int(np.isfinite(local.p_values).sum()),
        low=_share(local.p_values <= alpha, local.p_values),
        failing=_share(local.failing, local.p_values),
        shifted=_share(local.shifted, local.p_values),
    )


def _share(chosen: NDArray[np.bool_], p_values: Values) -> float:
    """Of the tests that could be made; NaN where there were none."""
    tested = np.isfinite(p_values)
    return float(chosen[tested].mean()) if tested.any() else float("nan")


def jarque_bera_pass_rate(
    residual: NDArray[Any],
    positions: NDArray[Any],
    neighbours: int = NEIGHBOURS,
    alpha: float = 0.05,
    direction: str = "normal",
    seed: int = 0,
) -> float:
    """The part of the neighbourhoods whose residuals pass as Gaussian, the false discovery rate held at alpha.

    Args:
        residual: (n, 3), noisy - denoised.
        positions: (n, 3), the clean or the denoised cloud, row by row.
        neighbours: points of a neighbourhood, at least 8.
        alpha: the false discovery rate.
        direction: one of `DIRECTIONS`, or `all`: the normal and the tangents of a neighbourhood as one sample, which
            is Gaussian only if the noise is the same in all directions.
        seed: of the simulated p-values.

    Returns:
        From 0 to 1: 1, but for chance, for Gaussian residuals; NaN where nothing moved.

    Raises:
        InputError: too few points, or coordinates not finite.
    """
    frames = SurfaceFrames.of(positions, neighbours)
    return _pass_rate(np.asarray(residual, dtype=np.float64), frames, alpha, direction, seed)


def jarque_bera_pass_rates(
    iterates: Iterable[Any],
    reference: Any,
    neighbours: int = NEIGHBOURS,
    alpha: float = 0.05,
    direction: str = "all",
    seed: int = 0,
) -> Iterator[float]:
    """`jarque_bera_pass_rate` of `x^t - reference` for each iterate of a sampler, or each step of a diffusion.

    With the clean cloud as the reference, the rescaled steps `x_a^t = x^t / sqrt(abar_t)` of the Gaussian forward
    process pass at every t, in all directions. Intermediates that do not are no samples of that process.

    Args:
        iterates: arrays or CPU tensors (n, 3), as a sampler yields them.
        reference: (n, 3), the clean cloud, or the last iterate.
        neighbours, alpha, direction, seed: see `jarque_bera_pass_rate`.
    """
    reference = np.asarray(reference, dtype=np.float64)
    frames = SurfaceFrames.of(reference, neighbours)
    for iterate in iterates:
        yield _pass_rate(np.asarray(iterate, dtype=np.float64) - reference, frames, alpha, direction, seed)


def _pass_rate(residual: Values, frames: SurfaceFrames, alpha: float, direction: str, seed: int) -> float:
    components = frames.components(residual)
    chosen = DIRECTIONS[3:] if direction == "all" else (direction,)
    samples = np.concatenate([components[name][frames.groups] for name in chosen], axis=1)
    p = jarque_bera(samples, seed).p_value
    return 1 - _share(false_discoveries_controlled(p, alpha), p)
