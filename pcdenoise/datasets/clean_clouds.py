"""Training surfaces from clean clouds, which have no mesh."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.surfaces import Cloud, Surface
from pcdenoise.errors import InputError
from pcdenoise.geometry.farthest_point import farthest_point_sampling
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.normals import plane_normals

FEWEST = 17  # points that a cloud must have: one and its 16 neighbours
_CANDIDATES = 5  # for each point that is kept


def cloud_surface(
    name: str,
    points: NDArray[Any],
    resolutions: Sequence[int] | None,
    rng: np.random.Generator,
    normals: NDArray[Any] | None = None,
) -> Surface:
    """Normalise a clean cloud and thin it to each number of points.

    Thinning is farthest-point sampling, which spreads the points evenly, of at most five random candidates a point.

    Args:
        name: of the surface.
        points: (n, 3) in any unit, finite.
        resolutions: numbers of points, at most n; None for all points as they are.
        rng: the only source of randomness.
        normals: (n, 3) unit normals; without them, those of planes through 16 neighbours.

    Raises:
        InputError: less points than one of the resolutions, or too few for normals.
    """
    points = np.asarray(points, dtype=np.float64)
    most = len(points) if resolutions is None else max(resolutions)
    if len(points) < max(most, FEWEST):
        raise InputError(
            f"{name} has {len(points):,} points, less than {max(most, FEWEST):,}; leave it out, or give resolutions "
            "that all clouds reach"
        )
    points = Frame.unit_sphere(points).to_local(points)
    normals = plane_normals(points) if normals is None else normals
    everything: Cloud = points.astype(np.float32), np.asarray(normals, dtype=np.float32)
    clouds = {n: everything for n in [len(points)] if resolutions is None or n in resolutions}
    smaller = sorted({n for n in resolutions or () if n < len(points)})
    if smaller:
        rows = rng.permutation(len(points))[: _CANDIDATES * smaller[-1]]
        rows = rows[farthest_point_sampling(points[rows], smaller[-1])]
        clouds |= {n: (everything[0][rows[:n]], everything[1][rows[:n]]) for n in smaller}
    return Surface(name, clouds)


def read_xyz(path: Path) -> NDArray[np.float64]:
    """The first three numbers of each line (n, 3) of a text file without a header.

    Raises:
        InputError: the file is missing, or is not a cloud of finite points.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file, which is refused below
            points = np.loadtxt(path, dtype=np.float64, ndmin=2)[:, :3]
    except (ValueError, IndexError, OSError) as error:
        raise InputError(f"cannot read {path}: {error}; expected three numbers a line") from error
    if len(points) < FEWEST or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"{path} is not a cloud of at least {FEWEST} points with three finite coordinates a line")
    return points
