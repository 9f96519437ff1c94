"""Denoising score matching at one noise level."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.losses.one_level import OneLevel
from pcdenoise.losses.targets import Target, check_target, towards_clean
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class DSM(OneLevel):
    """Denoising score matching (Vincent, Neural Computation 2011, eq. 9) at one noise level.

        loss_i = sigma^2 |s(x_i) - (y_i - x_i) / sigma^2|^2 = |x_i + sigma^2 s(x_i) - y_i|^2 / sigma^2

    That is Vincent's objective times `2 sigma^2`: the squared error of the denoiser in units of the noise. On clean
    points `N(0, s^2 I)` its minimum is `3 s^2 / (s^2 + sigma^2)`, at `score = -x / (s^2 + sigma^2)`.

    Args:
        sigma: noise level, in local spacings.
        target: what y_i is, see `towards_clean`; Vincent's is the paired clean point.
        neighbours: of `mean_of_nearest`.

    Raises:
        UsageError: sigma is not positive, or no such target.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    target: Target = "paired"
    neighbours: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_target(self.target, self.neighbours)

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
        return ((sigma * field(x, sigma))[core] - offsets / sigma[core]).square().sum(dim=1)
