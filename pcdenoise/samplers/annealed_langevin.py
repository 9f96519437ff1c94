"""Langevin dynamics down a ladder of noise levels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.samplers.arguments import require, require_whole, standard_normal
from pcdenoise.schedules import Ladder
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class AnnealedLangevin:
    """Langevin dynamics at each rung sigma_1 .. sigma_L of a ladder, from the noise level of the cloud down.

        x <- x + alpha_i / 2 score(x, sigma_i) + sqrt(alpha_i) z,   alpha_i = eps sigma_i^2 / sigma_L^2,   z ~ N(0, I)
        x <- x + sigma_L^2 score(x, sigma_L)

    (Song & Ermon 2019, algorithm 1, which starts from pure noise; the last step is that of Jolicoeur-Martineau et al.,
    "Adversarial Score Matching and Improved Sampling for Image Generation", 2020.)

    Such a chain draws a likely cloud and forgets the one it came from: what it draws moves whole parts of the surface,
    and nothing takes them back. With `posterior` it draws from the clouds that y may have come from (Kawar et al.,
    "Stochastic Image Denoising by Sampling from the Posterior Distribution", ICCVW 2021), y being the cloud and sigma_1
    its noise, of which sigma_1^2 - sigma_i^2 lies between y and x:

        x <- x + alpha_i / 2 (score(x, sigma_i) + (y - x) / (sigma_1^2 - sigma_i^2)) + sqrt(alpha_i) z
        alpha_i = eps sigma_i^2 / sigma_L^2 (1 - sigma_i^2 / sigma_1^2)

    The last factor keeps the pull towards y no stronger than the score; the first rung is y itself.

    Args:
        ladder: its `lowest` is sigma_L. A row whose noise is not above that takes the last step only, from its own
            level.
        steps: steps at each rung, at least 1.
        step: `eps / sigma_L^2`, so that `alpha_i = step sigma_i^2`; above 0 and below 4: from there on the chain
            diverges on a plane. The paper's eps of 2e-5 for sigma_L = 0.01 is a step of 0.2, at 100 steps a rung; with
            few of them only long steps keep up with the ladder, and the field is told of the noise that there is.
        denoise: whether the last step is taken. Without it noise of sigma_L stays.
        posterior: whether the chain is held by the cloud that it starts from.

    Raises:
        UsageError: an argument outside its range; or, when called, no generator.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"levels"})

    ladder: Ladder
    steps: int = 1
    step: float = 1.0
    denoise: bool = True
    posterior: bool = False

    def __post_init__(self) -> None:
        require(isinstance(self.ladder, Ladder), "ladder", self.ladder, "a ladder such as Geometric")
        require_whole("steps", self.steps)
        require(0 < self.step < 4, "step", self.step, "a number above 0 and below 4")

    @property
    def evaluations(self) -> int:
        """Score evaluations, at most: one where no row is above the ladder."""
        return (self.ladder.count - self.posterior) * self.steps + self.denoise

    def __call__(
        self, field: ScoreField, x: Tensor, sigma: Tensor, generator: torch.Generator | None = None
    ) -> Iterator[Tensor]:
        """Yields the iterates (n, 3), the start not included. sigma is (n, 1), in the unit of x."""
        y, above = x, sigma > self.ladder.lowest
        for rung, level in enumerate(self.ladder.rungs(sigma)):
            if self.posterior and rung == 0:
                continue
            share = level**2 / sigma**2 if self.posterior else torch.zeros_like(sigma)
            alpha = torch.where(above, self.step * level**2 * (1 - share), 0.0)
            pull = torch.where(above, self.step / 2 * share, 0.0)
            for _ in range(self.steps):
                if bool(above.any()):
                    drift = alpha / 2 * field(x, level) + pull * (y - x)
                    x = x + drift + alpha.sqrt() * standard_normal(x, generator)
                yield x
        if self.denoise:
            yield x + level**2 * field(x, level)
