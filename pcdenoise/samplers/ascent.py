"""Gradient ascent on the log-density."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pcdenoise.samplers.arguments import require, require_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class Ascent:
    """Gradient ascent without noise.

        x <- x + a_t sigma^2 score(x, sigma),   a_t = step decay^t,   t = 0 .. steps - 1

    On a field whose denoiser is exact, one step of size 1 reaches the expected clean position; on a plane the distance
    contracts by `1 - a_t` (Luo & Hu, "Score-Based Point Cloud Denoising", ICCV 2021, eq. 8, with the step in units of
    sigma^2).

    Args:
        steps: number of iterates, at least 1.
        step: first step, in units of sigma^2, above 0 and below 2: from there on the distance to a plane grows.
        decay: factor of the step from one iterate to the next, above 0 and at most 1.

    Raises:
        UsageError: a number outside its range.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    steps: int = 1
    step: float = 1.0
    decay: float = 1.0

    def __post_init__(self) -> None:
        require_whole("steps", self.steps)
        require(0 < self.step < 2, "step", self.step, "a number above 0 and below 2")
        require(0 < self.decay <= 1, "decay", self.decay, "a number above 0 and at most 1")

    @property
    def evaluations(self) -> int:
        """Score evaluations, exact."""
        return self.steps

    def __call__(
        self,
        field: "ScoreField",
        x: "Tensor",
        sigma: "Tensor",
        generator: "torch.Generator | None" = None,  # noqa: ARG002 (nothing is drawn)
    ) -> "Iterator[Tensor]":
        """Yields the iterates (n, 3), the start not included. sigma is (n, 1), in the unit of x."""
        for t in range(self.steps):
            x = x + self.step * self.decay**t * sigma**2 * field(x, sigma)
            yield x
