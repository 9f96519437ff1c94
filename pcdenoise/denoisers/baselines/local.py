"""What denoisers of local geometry have in common: the unit of length, and libraries that may be missing."""

import importlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh
from pcdenoise.denoisers.whole_cloud import distinct_points
from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame

INSTALL = "pip install 'pcdenoise[baselines]'"


@dataclass(frozen=True)
class LocalMethod(ABC):
    """A denoiser that sees a cloud in its own unit, see `pcdenoise.denoisers.method.Method`.

    Called with a cloud, it passes on to `move` the distinct positions in the cloud's own `Frame`: about the origin, in
    spacings. So `f(a x + t) = a f(x) + t`, and coincident points move as one. Clouds of fewer distinct points than
    `least` come back as they are.

    Raises:
        UsageError: a parameter out of its range.
    """

    source: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    least: ClassVar[int] = 16

    def __post_init__(self) -> None:
        self.check()

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: float | None = None,
        mesh: Mesh | None = None,  # noqa: ARG002 - for oracles
        seed: int = 0,  # noqa: ARG002 - nothing is drawn
    ) -> NDArray[np.float64]:
        """Denoised positions (n, 3), see `Method`."""
        distinct, inverse = distinct_points(np.asarray(points, dtype=np.float64))
        if len(distinct) < self.least:
            return points.copy()
        frame = Frame.of(distinct)
        local = frame.to_local(distinct)
        moved = self.move(local, None if sigma is None else sigma / frame.scale)
        # Adding the displacement leaves a point that did not move exactly where it was.
        displacement: NDArray[np.float64] = frame.scale * (moved - local)
        return points + displacement[inverse]

    @abstractmethod
    def move(self, points: NDArray[np.float64], noise: float | None) -> NDArray[np.float64]:
        """Denoised positions, row by row.

        Args:
            points: (n, 3) distinct, about the origin, in spacings; n is at least `least`.
            noise: per coordinate, in spacings; None if it is not known.
        """

    def check(self) -> None:  # noqa: B027 - not every method has parameters
        """Raise a UsageError where a parameter is out of its range."""

    def _require(self, holds: bool, name: str, value: object, allowed: str) -> None:
        if not holds:
            raise UsageError(f"{name} of {type(self).__name__} is {value}; give {allowed}")

    def _require_whole(self, name: str, least: int = 1) -> None:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        self._require(whole and value >= least, name, value, f"a whole number from {least}")

    def _require_positive(self, name: str) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        self._require(number and 0 < value < math.inf, name, value, "a number above 0")


def library(module: str) -> Any:
    """A module of the extra `baselines`, imported.

    Raises:
        UsageError: it is not installed, or does not load.
    """
    package = module.partition(".")[0].lower()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise UsageError(f"{package} is not installed; {INSTALL}") from None
    except ImportError as error:
        raise UsageError(f"{package} does not load: {error}; install what it misses") from None
