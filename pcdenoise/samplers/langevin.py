"""Langevin dynamics at one noise level."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.samplers.arguments import require, require_whole, standard_normal
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class Langevin:
    """Langevin dynamics at the noise level of the cloud, then one denoising step.

        x <- x + eps^2 / 2 score(x, sigma) + eps z,   eps = step sigma,   z ~ N(0, I)
        x <- x + sigma^2 score(x, sigma)

    The chain draws from the blurred density q_sigma itself (Song & Ermon 2019, eq. 4, with the step in units of sigma),
    up to a bias of order step^2: on N(0, v) it settles at the variance `v / (1 - eps^2 / (4 v))`.

    Args:
        steps: steps of the chain, at least 1.
        step: in units of sigma, above 0 and below 2: from there on the chain diverges on a plane.
        denoise: whether the last step, without noise, goes to the expected clean position (Tweedie's formula). Without
            it the result is as noisy as the input.

    Raises:
        UsageError: a number outside its range; or, when called, no generator.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    steps: int = 10
    step: float = 0.1
    denoise: bool = True

    def __post_init__(self) -> None:
        require_whole("steps", self.steps)
        require(0 < self.step < 2, "step", self.step, "a number above 0 and below 2")

    @property
    def evaluations(self) -> int:
        """Score evaluations, exact."""
        return self.steps + self.denoise

    def __call__(
        self, field: ScoreField, x: Tensor, sigma: Tensor, generator: torch.Generator | None = None
    ) -> Iterator[Tensor]:
        """Yields the iterates (n, 3), the start not included. sigma is (n, 1), in the unit of x."""
        eps = self.step * sigma
        for _ in range(self.steps):
            x = x + eps**2 / 2 * field(x, sigma) + eps * standard_normal(x, generator)
            yield x
        if self.denoise:
            yield x + sigma**2 * field(x, sigma)
