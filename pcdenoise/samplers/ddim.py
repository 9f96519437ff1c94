"""The implicit reverse process of a diffusion model, in few steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.samplers.arguments import require, standard_normal
from pcdenoise.schedules import VariancePreserving, descend
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class DDIM:
    """Steps through a subsequence of the levels below the noise of the cloud (Song et al., ICLR 2021, eqs. 12 and 16).

        clean = x + sigma_t^2 score(x, sigma_t)
        x <- clean - sqrt(sigma_u^2 - drawn^2) sigma_t score(x, sigma_t) + drawn z,   u the next level after t
        drawn = eta sigma_u sqrt(1 - sigma_u^2 / sigma_t^2),   z ~ N(0, I)

    in the rescaled iterates `x^t / sqrt(abar_t)`, see `DDPM`. With eta = 0 it is Euler's method for the
    probability-flow ODE in sigma, with eta = 1 and all steps DDPM with its noise.

    Args:
        ladder: the forward process.
        steps: levels used, from 1 to `ladder.steps`.
        eta: share of DDPM's noise, from 0 to 1.

    Raises:
        UsageError: an argument outside its range; or, when called with eta above 0, no generator.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"levels"})

    ladder: VariancePreserving
    steps: int = 10
    eta: float = 0.0

    def __post_init__(self) -> None:
        require(isinstance(self.ladder, VariancePreserving), "ladder", self.ladder, "a VariancePreserving ladder")
        allowed = f"a whole number from 1 to {self.ladder.steps}"
        require(isinstance(self.steps, int) and 1 <= self.steps <= self.ladder.steps, "steps", self.steps, allowed)
        require(0 <= self.eta <= 1, "eta", self.eta, "a number from 0 to 1")

    @property
    def evaluations(self) -> int:
        """Score evaluations, at most: fewer where fewer levels lie below the noise of the cloud."""
        return self.steps

    def __call__(
        self, field: ScoreField, x: Tensor, sigma: Tensor, generator: torch.Generator | None = None
    ) -> Iterator[Tensor]:
        """Yields the rescaled iterates (n, 3), the start not included. sigma is (n, 1), in the unit of x."""
        for upper, lower in descend(self.ladder.rungs(sigma, self.steps)):
            score = field(x, upper)
            drawn = self.eta * lower * (1 - (lower / upper) ** 2).sqrt()
            x = x + (upper**2 - upper * (lower**2 - drawn**2).sqrt()) * score
            if self.eta > 0:
                x = x + drawn * standard_normal(x, generator)
            yield x
