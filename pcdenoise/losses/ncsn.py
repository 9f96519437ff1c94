"""Denoising score matching on a ladder of noise levels, one field for all of them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.losses.targets import Target, check_target, towards_clean
from pcdenoise.patches import NoisyPatches
from pcdenoise.schedules import Geometric
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class NCSN:
    """Noise-conditional score matching (Song & Ermon, NeurIPS 2019, eqs. 5 and 6), `lambda(sigma) = sigma^2`.

        loss_i = lambda(sigma) / 2 |s(x_i, sigma) - (y_i - x_i) / sigma^2|^2,   sigma = sigma_1 .. sigma_L

    Each patch has one level of the ladder, all equally often, and the field is told which. With that weight every level
    has a loss of the same order.

    Args:
        ladder: the levels, in local spacings.
        target: what y_i is, see `towards_clean`; the paper's is the paired clean point.
        neighbours: of `mean_of_nearest`.

    Raises:
        UsageError: no such target.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"levels"})

    ladder: Geometric = Geometric()  # noqa: RUF009 - frozen
    target: Target = "paired"
    neighbours: int = 4

    def __post_init__(self) -> None:
        check_target(self.target, self.neighbours)

    @property
    def levels(self) -> tuple[float, ...]:
        """The ladder, falling."""
        return tuple(self.ladder.sigmas().tolist())

    def __call__(
        self,
        field: ScoreField,
        x: Tensor,
        patches: NoisyPatches,
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> Tensor:
        """Loss of the points of the core, (c,), for the cloud x (n, 3) that the field was made from."""
        core, sigma = patches.core, patches.sigma
        offsets = towards_clean(self.target, self.neighbours, x, core, patches)
        return ((sigma * field(x, sigma))[core] - offsets / sigma[core]).square().sum(dim=1) / 2
