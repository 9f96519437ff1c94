"""The reverse process of a diffusion model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.samplers.arguments import require, standard_normal
from pcdenoise.schedules import VariancePreserving, descend
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class DDPM:
    """The reverse steps of DDPM (Ho et al. 2020, eq. 11) through every level below the noise of the cloud.

        x^{t-1} = 1 / sqrt(alpha_t) (x^t - beta_t sqrt(abar_t) / sqrt(1 - abar_t) (-s)),
        s = score(x_a^t, sigma_t) sigma_t / sqrt(abar_t)

    so that `-sqrt(abar_t) s` is the predicted noise. In the rescaled iterate `x_a^t = x^t / sqrt(abar_t)`, which is the
    cloud where it stands, with noise sigma_t, this is

        x_a^{t-1} = x_a^t + (sigma_t^2 - sigma_{t-1}^2) score(x_a^t, sigma_t)

    and has no origin: shifted clouds give shifted results. The first step starts between two levels, at the noise told,
    with `abar = 1 / (1 + sigma^2)`.

    Args:
        ladder: the forward process.
        noise: whether each step adds the noise of the posterior `q(x^{t-1} | x^t, x^0)`, of variance
            `beta_t (1 - abar_{t-1}) / (1 - abar_t)` (eq. 7).

    Raises:
        UsageError: the ladder is none of DDPM; or, when called with noise, no generator.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"levels"})

    ladder: VariancePreserving
    noise: bool = False

    def __post_init__(self) -> None:
        require(isinstance(self.ladder, VariancePreserving), "ladder", self.ladder, "a VariancePreserving ladder")

    @property
    def evaluations(self) -> int:
        """Score evaluations, at most: the fewer, the less noise."""
        return self.ladder.steps

    def __call__(
        self, field: ScoreField, x: Tensor, sigma: Tensor, generator: torch.Generator | None = None
    ) -> Iterator[Tensor]:
        """Yields the rescaled iterates (n, 3), the start not included. sigma is (n, 1), in the unit of x."""
        for upper, lower in descend(self.ladder.rungs(sigma)):
            removed = upper**2 - lower**2
            x = x + removed * field(x, upper)
            if self.noise:
                x = x + lower * removed.sqrt() / upper * standard_normal(x, generator)
            yield x
