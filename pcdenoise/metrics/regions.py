"""Where on the shape the errors are: along sharp edges, on thin parts, in smooth areas."""

from typing import Literal

import numpy as np

from pcdenoise.metrics.comparison import Comparison

Region = Literal["edge", "thin", "smooth"]


def error_in(pair: Comparison, region: Region) -> float | None:
    """Mean squared distance to the mesh, in R^2 of the mesh, of the points of one `Regions` alone.

        1/|X_r| sum_{x in X_r} min_f d(x, f)^2

    None where the result has no point in the region.
    """
    there = getattr(pair.regions, region)
    return float(np.mean(pair.nearest.signed[there] ** 2)) if there.any() else None


def share_in(pair: Comparison, region: Region) -> float:
    """Share of the result's points, 0 to 1, in a region."""
    return float(getattr(pair.regions, region).mean())
