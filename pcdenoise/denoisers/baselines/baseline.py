"""What classical denoisers have in common: the unit of length, and parameters that go by the noise."""

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh
from pcdenoise.denoisers.whole_cloud import distinct_points
from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.noise import estimate_noise

INSTALL = "pip install 'pcdenoise[baselines]'"
NOISE = "noise"


@dataclass(frozen=True)
class Baseline(ABC):
    """A denoiser of local geometry, see `pcdenoise.denoisers.method.Method`.

    Called with a cloud, it passes on to `smooth` the distinct positions in the cloud's own `Frame` (lengths in
    spacings) and their noise, told or estimated. So `f(a x + t) = a f(x) + t`, and coincident points move as one.
    Clouds of fewer distinct points than `least`, and clouds without noise, come back as they are.

    Args:
        tuned: rows `{noise: spacings, parameter: value, ...}`. The parameters of the row whose noise is nearest, by
            ratio, replace those of the constructor. Without rows the constructor's are taken.

    Raises:
        UsageError: a parameter out of its range, or a row without a positive `noise` or with an unknown parameter.
    """

    source: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    least: ClassVar[int] = 8

    tuned: Sequence[Mapping[str, Any]] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self.check()
        known = {parameter.name for parameter in fields(self)} - {"tuned"}
        for row in self.tuned:
            self._require(isinstance(row.get(NOISE), int | float) and row[NOISE] > 0, "a row", row, "a positive noise")
            self._require(row.keys() - {NOISE} <= known, "a row", dict(row), f"noise, {', '.join(sorted(known))}")
            self._with(row)

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
        noise = estimate_noise(local) if sigma is None else sigma / frame.scale
        if not noise > 0:
            return points.copy()
        moved = self.at(noise).smooth(local, noise)
        # Adding the displacement leaves a point that did not move exactly where it was.
        displacement: NDArray[np.float64] = frame.scale * (moved - local)
        return points + displacement[inverse]

    def at(self, noise: float) -> Self:
        """The method with the parameters that it takes for a noise of so many spacings, above 0."""
        if not self.tuned:
            return self
        return self._with(min(self.tuned, key=lambda row: abs(math.log(row[NOISE] / noise))))

    @abstractmethod
    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
        """Denoised positions, row by row.

        Args:
            points: (n, 3) distinct, about the origin, in spacings; n is at least `least`.
            noise: per coordinate, in spacings, above 0.
        """

    def check(self) -> None:  # noqa: B027 - not every method has parameters
        """Raise a UsageError where a parameter is out of its range."""

    def _with(self, row: Mapping[str, Any]) -> Self:
        return replace(self, tuned=(), **{key: value for key, value in row.items() if key != NOISE})

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
