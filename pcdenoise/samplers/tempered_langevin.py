"""Langevin dynamics on an energy that cools down."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pcdenoise.samplers.arguments import require, require_whole, standard_normal
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class TemperedLangevin:
    """Langevin dynamics on one energy E at falling temperatures, then one denoising step.

        x <- x - eps^2 / 2 grad E(x) + eps sqrt(T_t) z,   eps = step sigma_0,   z ~ N(0, I)
        x <- x - sigma_0^2 grad E(x)

    At a fixed temperature the chain draws from exp(-E / T), up to a bias of order step^2: on E = |x|^2 / (2 v) it
    settles at the variance `T v / (1 - eps^2 / (4 v))`. The temperatures fall geometrically (Li et al., "Learning
    Energy-Based Models in High-dimensional Spaces with Multi-scale Denoising Score Matching", 2019, section 3.2).

    Args:
        steps: steps of the chain, at least 1; one for each temperature.
        step: in units of sigma_0, above 0 and below 2: from there on the chain diverges on a plane.
        hottest, coldest: first and last temperature, `0 < coldest <= hottest`. Near a surface the cloud is as noisy as
            `sigma_0 sqrt(T)`: 1 is the noise that the energy stands for.

    Raises:
        UsageError: a number outside its range; or, when called, no generator.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"energy"})

    steps: int = 10
    step: float = 0.5
    hottest: float = 1.0
    coldest: float = 0.01

    def __post_init__(self) -> None:
        require_whole("steps", self.steps)
        require(0 < self.step < 2, "step", self.step, "a number above 0 and below 2")
        require(self.coldest > 0, "coldest", self.coldest, "a number above 0")
        require(self.coldest <= self.hottest, "hottest", self.hottest, f"a number from coldest ({self.coldest})")

    @property
    def evaluations(self) -> int:
        """Score evaluations, exact."""
        return self.steps + 1

    def __call__(
        self, field: ScoreField, x: Tensor, sigma: Tensor, generator: torch.Generator | None = None
    ) -> Iterator[Tensor]:
        """Yields the iterates (n, 3), the start not included.

        Args:
            field: `-grad E(x)`, whatever the noise level.
            x: (n, 3).
            sigma: (n, 1) sigma_0 of the energy, in the unit of x.
            generator: of the noise.
        """
        eps = self.step * sigma
        for temperature in np.geomspace(self.hottest, self.coldest, self.steps):
            x = x + eps**2 / 2 * field(x, sigma) + eps * float(temperature) ** 0.5 * standard_normal(x, generator)
            yield x
        yield x + sigma**2 * field(x, sigma)
