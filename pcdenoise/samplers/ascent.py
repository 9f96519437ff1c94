"""Gradient ascent on the log-density."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from pcdenoise.errors import UsageError
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class Ascent:
    """Gradient ascent without noise.

        x <- x + a_t sigma^2 score(x, sigma),   a_t = step * decay^t,   t = 0 .. steps - 1

    On a field whose denoiser is exact, one step of size 1 reaches the expected clean position; on a plane the distance
    contracts by `1 - a_t` (Luo & Hu, "Score-Based Point Cloud Denoising", ICCV 2021, eq. 8, with the step in units of
    sigma^2).

    Args:
        steps: number of iterates, at least 1.
        step: first step, in units of sigma^2.
        decay: factor of the step from one iterate to the next.

    Raises:
        UsageError: steps is not a whole number from 1.
    """

    steps: int = 1
    step: float = 1.0
    decay: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 1:
            raise UsageError(f"sampler.steps is {self.steps}; give a whole number from 1")

    def __call__(self, field: ScoreField, x: Tensor, sigma: Tensor) -> Iterator[Tensor]:
        """Yields the iterates (n, 3), the start not included. sigma is (n, 1), in the unit of x."""
        for t in range(self.steps):
            x = x + self.step * self.decay**t * sigma**2 * field(x, sigma)
            yield x
