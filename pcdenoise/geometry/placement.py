"""Where a cloud lies and how large it is, to tell clouds of one shape from those in different units."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError

SAME_UNIT = 20.0  # sizes that differ by a larger factor, or places by as many radii, are not those of one shape


class Placement(NamedTuple):
    """A place and a radius around it.

    Attributes:
        centre: (3,).
        radius: in the unit of the cloud.
    """

    centre: NDArray[np.float64]
    radius: float

    @classmethod
    def median(cls, points: NDArray[Any]) -> "Placement":
        """Median of the coordinates, and of the distances from there, which a few points gone astray do not move.

        Args:
            points: (n, 3), finite, at least one.
        """
        centre = np.median(points, axis=0)
        return cls(centre, float(np.median(np.linalg.norm(points - centre, axis=1))))


def check_one_place(name: str, placement: Placement, other: str, expected: Placement) -> None:
    """Refuse to compare two clouds whose numbers, or pictures, would be meaningless.

    Args:
        name: of the first cloud, for the message.
        placement: where it is.
        other: name of the second cloud.
        expected: where that is.

    Raises:
        InputError: they differ in size by a factor above 20, or lie more than 20 radii apart.
    """
    larger, smaller = placement.radius, expected.radius
    factor = max(larger, smaller) / max(min(larger, smaller), np.finfo(float).tiny)
    if min(larger, smaller) > 0 and factor > SAME_UNIT:
        relation = "as large as" if larger > smaller else "smaller than"
        hint = " (millimetres and metres?)" if 900 < factor < 1100 else ""
        raise InputError(
            f"{name} is about {float(f'{factor:.2g}'):,.0f} times {relation} {other}; bring both to one unit{hint}"
        )
    apart = float(np.linalg.norm(placement.centre - expected.centre)) / (smaller or 1.0)
    if smaller > 0 and apart > SAME_UNIT:
        raise InputError(f"{name} lies {apart:,.0f} radii away from {other}; bring both to one coordinate system")
