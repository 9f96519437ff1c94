"""Parameters that go by the noise."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.baselines.local import LocalMethod
from pcdenoise.geometry.noise import estimate_noise

NOISE = "noise"


@dataclass(frozen=True)
class TunedMethod(LocalMethod):
    """A `LocalMethod` that smooths the more, the noisier the cloud is.

    The noise is told, or else estimated. A cloud without noise comes back as it is.

    Args:
        tuned: rows `{noise: spacings, parameter: value, ...}`. The parameters of the row whose noise is nearest, by
            ratio, replace those of the constructor. Without rows the constructor's are taken.

    Raises:
        UsageError: a parameter out of its range, or a row without a positive `noise` or with an unknown parameter.
    """

    tuned: Sequence[Mapping[str, Any]] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        known = {parameter.name for parameter in fields(self)} - {"tuned"}
        for row in self.tuned:
            noise = row.get(NOISE)
            self._require(isinstance(noise, int | float) and noise > 0, "noise of a row", noise, "a number above 0")
            unknown = sorted(row.keys() - known - {NOISE})
            self._require(not unknown, "a parameter in a row", ", ".join(unknown), f"noise, {', '.join(sorted(known))}")
            self._with(row)

    def move(self, points: NDArray[np.float64], noise: float | None) -> NDArray[np.float64]:
        """See `LocalMethod`."""
        noise = estimate_noise(points) if noise is None else noise
        return self.at(noise).smooth(points, noise) if noise > 0 else points

    def at(self, noise: float) -> Self:
        """The method with the parameters that it takes for a noise of so many spacings, above 0."""
        if not self.tuned:
            return self
        return self._with(min(self.tuned, key=lambda row: abs(math.log(row[NOISE] / noise))))

    @abstractmethod
    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
        """As `move`, with the parameters for this noise, which is above 0."""

    def _with(self, row: Mapping[str, Any]) -> Self:
        return replace(self, tuned=(), **{key: value for key, value in row.items() if key != NOISE})
