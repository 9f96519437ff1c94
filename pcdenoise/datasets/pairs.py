"""Noisy clouds with their clean ones, as they were measured."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.surfaces import Progress
from pcdenoise.errors import InputError, UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn
from pcdenoise.geometry.normals import plane_normals

APART = 0.2  # median distance in radii above which two clouds do not show the same shape in the same place
SAME_ROWS = 4.0  # factor of the median distance to the nearest clean point, up to which row i belongs to row i


@dataclass(frozen=True, eq=False)
class Pair:
    """A noisy cloud and the clean one behind it, in the clean one's unit sphere.

    Attributes:
        name: unique within its set.
        shape: the name of the surface of the same set that it shows.
        noisy: (n, 3) float64.
        clean: (m, 3) float64.
        normals: (m, 3) float64, unit normals of `clean`.
        rows: (n,) int64, the clean point that each noisy one belongs to: row i to row i where the files say so, else
            the nearest, which is where the surface is but not where the point came from.
        same_rows: whether row i belongs to row i.
        sigma: noise per coordinate. With the same rows, `sqrt(mean |y - x|^2 / 3)`; else, since what lies along the
            surface is not known, `sqrt(mean (n . (y - x))^2)`, which is the same for isotropic noise on a flat surface.
    """

    name: str
    shape: str
    noisy: NDArray[np.float64]
    clean: NDArray[np.float64]
    normals: NDArray[np.float64]
    rows: NDArray[np.int64]
    same_rows: bool
    sigma: float


@runtime_checkable
class PairSource(Protocol):
    """A data set that has noisy clouds of its own."""

    def pairs(self, progress: Progress | None = None) -> list[Pair]:
        """All pairs."""
        ...


def with_pairs(source: object) -> PairSource:
    """The data set, which has pairs.

    Raises:
        UsageError: it has not.
    """
    if isinstance(source, PairSource):
        return source
    raise UsageError(
        f"pairs=true needs noisy clouds, which a {type(source).__name__} data set does not have; "
        "use dataset=folder (with the folders clean and noisy), pc_net or pu_net"
    )


def make_pair(
    name: str, shape: str, noisy: NDArray[Any], clean: NDArray[Any], normals: NDArray[Any] | None = None
) -> Pair:
    """Normalise two clouds together and find out which points belong to each other.

    Row i belongs to row i where there are as many rows and their median distance is up to four times that to the
    nearest clean point; for isotropic noise above the spacing it is 2.3 times, for rows in another order far more.

    Args:
        name: of the pair.
        shape: of its surface.
        noisy: (n, 3), finite, in the clean cloud's unit and place.
        clean: (m, 3), finite.
        normals: (m, 3) unit normals of the clean points; without them, those of planes through 16 neighbours.

    Raises:
        InputError: a cloud is empty, or the two are not in the same place.
    """
    if len(noisy) == 0:
        raise InputError(f"the noisy cloud of {name} is empty; export it again or leave the pair out")
    frame = Frame.unit_sphere(clean)
    noisy, clean = frame.to_local(noisy), frame.to_local(clean)
    distances, nearest = (found[:, 0] for found in knn(clean, 1, noisy))
    typical = float(np.median(distances))
    if typical > APART:
        times = np.ptp(noisy, axis=0).max() / np.ptp(clean, axis=0).max()
        raise InputError(
            f"the noisy cloud of {name} is {times:.3g} times as large as the clean one, or lies elsewhere: half its "
            f"points are over {typical:.2g} radii away; give both in one unit and place"
        )
    normals = plane_normals(clean) if normals is None else np.asarray(normals, dtype=np.float64)
    if len(noisy) == len(clean):
        squares = ((noisy - clean) ** 2).sum(axis=1)
        if np.sqrt(np.median(squares)) <= SAME_ROWS * typical:
            sigma = float(np.sqrt(squares.mean() / 3))
            return Pair(name, shape, noisy, clean, normals, np.arange(len(noisy)), True, sigma)
    rows = nearest.astype(np.int64)
    heights = np.einsum("ij,ij->i", normals[rows], noisy - clean[rows])
    return Pair(name, shape, noisy, clean, normals, rows, False, float(np.sqrt(np.mean(heights**2))))


def some_of(names: Collection[str]) -> str:
    """The first three names, and how many more there are."""
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
