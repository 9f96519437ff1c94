"""What every denoiser of the benchmark answers to, learned or classical."""

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh


class Method(Protocol):
    """A denoiser: an option of `conf/method/`, whose constructor is its configuration.

    Attributes:
        source: paper or library that it is from.
        needs: what it must be given besides the points: `mesh` for an oracle.
    """

    source: ClassVar[str]
    needs: ClassVar[frozenset[str]]

    def __call__(
        self, points: NDArray[np.float64], sigma: float | None = None, mesh: Mesh | None = None, seed: int = 0
    ) -> NDArray[np.float64]:
        """Denoised positions (n, 3), row by row.

        Args:
            points: (n, 3), any unit, finite.
            sigma: noise per coordinate, in that unit; None lets the method estimate it (blind).
            mesh: vertices (v, 3) and faces (f, 3) of the true surface, for oracles.
            seed: of what the method draws.
        """
        ...
