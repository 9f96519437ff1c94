"""How dense a cloud is and how noisy, measured on the cloud alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.neighbours import knn

SPACING_NEIGHBOURS = 8
_SPACING_SAMPLE = 20_000


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


def local_spacing(
    points: NDArray[np.float64],
    k: int = SPACING_NEIGHBOURS,
    neighbours: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> NDArray[np.float64]:
    """The spacing around each point: the median of `d_k / sqrt(k / pi)` over the point and its k neighbours.

    Args:
        points: (n, 3), finite.
        k: neighbours; lowered to n - 1 in a smaller cloud.
        neighbours: distances and indices as `knn(points, k)` returns them, to save the search.

    Returns:
        (n,) lengths in the unit of `points`; zeros for less than two points.

    Raises:
        InputError: coordinates not finite.
    """
    k = min(k, len(points) - 1)
    if k < 1:
        return np.zeros(len(points))
    distances, indices = knn(points, k) if neighbours is None else neighbours
    own = distances[:, -1] / np.sqrt(distances.shape[1] / np.pi)
    around: NDArray[np.float64] = np.median(np.column_stack([own, own[indices]]), axis=1)
    return around


def scattered(points: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """`m` of the points, drawn without replacement: the same ones on every call, and in every order of the rows."""
    order = np.lexsort(points.T)
    ranks = np.random.default_rng(0).choice(len(points), min(m, len(points)), replace=False)
    return points[order[np.sort(ranks)]]
