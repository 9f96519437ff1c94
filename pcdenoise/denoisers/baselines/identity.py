"""Nothing at all: what a denoiser has to beat."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh


@dataclass(frozen=True)
class Identity:
    """Each point stays where it is."""

    source: ClassVar[str] = "the noisy cloud itself"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: float | None = None,  # noqa: ARG002
        mesh: Mesh | None = None,  # noqa: ARG002
        seed: int = 0,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """A copy of the points, see `Method`."""
        return points.copy()
