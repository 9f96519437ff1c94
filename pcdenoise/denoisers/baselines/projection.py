"""An oracle that knows the surface: what no denoiser beats by much."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh
from pcdenoise.errors import UsageError
from pcdenoise.metrics.floor import projection


@dataclass(frozen=True)
class Projection:
    """Each point goes to the nearest place of the true mesh, see `pcdenoise.metrics.floor.projection`.

    It knows the surface, but not where on it a point came from, so its Chamfer distance stays above 0.
    """

    source: ClassVar[str] = "oracle: the nearest place of the true mesh"
    needs: ClassVar[frozenset[str]] = frozenset({"mesh"})

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: float | None = None,  # noqa: ARG002
        mesh: Mesh | None = None,
        seed: int = 0,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """The nearest places, see `Method`.

        Raises:
            UsageError: no mesh is given.
        """
        if mesh is None:
            raise UsageError("projection is an oracle; give it the true mesh, or take a method that needs none")
        return projection(points, *mesh)
