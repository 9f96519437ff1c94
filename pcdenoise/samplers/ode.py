"""The probability-flow ODE."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.samplers.arguments import require
from pcdenoise.schedules import Ladder, descend
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class ODE:
    """Follows the probability-flow ODE from the noise level of the cloud down to zero.

        dx / d sigma = -sigma score(x, sigma)

    (Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, eq. 13, in the
    variance-exploding form of Karras et al. 2022, eq. 3 and algorithm 1.) The last step, from the lowest rung to zero,
    is one of Euler's: it goes to the expected clean position.

    Args:
        ladder: the levels; one step between each two and one to zero. A row whose noise is not above `lowest` takes the
            last step only, from its own level.
        method: `euler`, of order 1 and one evaluation for each level, or `heun`, of order 2 and two.

    Raises:
        UsageError: an argument outside its range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"levels"})

    ladder: Ladder
    method: str = "heun"

    def __post_init__(self) -> None:
        require(isinstance(self.ladder, Ladder), "ladder", self.ladder, "a ladder such as Geometric or Karras")
        require(self.method in ("euler", "heun"), "method", self.method, "euler or heun")

    @property
    def evaluations(self) -> int:
        """Score evaluations, at most: one where no row is above the ladder."""
        return self.ladder.count if self.method == "euler" else 2 * self.ladder.count - 1

    def __call__(
        self,
        field: ScoreField,
        x: Tensor,
        sigma: Tensor,
        generator: torch.Generator | None = None,  # noqa: ARG002 (nothing is drawn)
    ) -> Iterator[Tensor]:
        """Yields the iterates (n, 3), one a step, the start not included. sigma is (n, 1), in the unit of x."""
        for upper, lower in descend(self.ladder.rungs(sigma)):
            slope = -upper * field(x, upper)
            reached = x + (lower - upper) * slope
            if self.method == "heun" and bool(lower.any()):
                slope = (slope - lower * field(reached, lower)) / 2
                reached = x + (lower - upper) * slope
            x = reached
            yield x
