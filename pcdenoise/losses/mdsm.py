"""Multiscale denoising score matching of an energy."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.errors import UsageError
from pcdenoise.losses.targets import Target, check_target, towards_clean
from pcdenoise.patches import NoisyPatches
from pcdenoise.schedules import Geometric
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class MDSM:
    """Multiscale denoising score matching (Li, Chen & Sommer, 2019, arXiv:1910.07762, eq. 5), `l(sigma) = 1 / sigma^2`.

        loss_i = l(sigma_k) |y_i - x_i + sigma_0^2 grad E(x)_i|^2,   x = y + sigma_k z,   k = 1 .. K

    One energy for all levels, which is not told them: `x - sigma_0^2 grad E(x)` is to be clean whatever the noise was.
    So the field is told `sigma_0` throughout. On clean points `N(0, s^2 I)` the best energy `a |x|^2 / 2` has
    `sigma_0^2 a = K / (K + s^2 sum_k sigma_k^-2)`.

    Args:
        ladder: the levels sigma_k, in local spacings; each patch has one of them, all equally often.
        sigma_0: in local spacings.
        target: what y_i is, see `towards_clean`; the paper's is the paired clean point.
        neighbours: of `mean_of_nearest`.

    Raises:
        UsageError: sigma_0 is not positive, or no such target.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"energy"})

    ladder: Geometric = Geometric()  # noqa: RUF009 - frozen
    sigma_0: float = 0.5
    target: Target = "paired"
    neighbours: int = 4

    def __post_init__(self) -> None:
        if not self.sigma_0 > 0:
            raise UsageError(f"loss.sigma_0 is {self.sigma_0}; give a noise level above 0, in local spacings")
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
        core, told = patches.core, self.sigma_0 * patches.spacing
        offsets = towards_clean(self.target, self.neighbours, x, core, patches)
        move = (told.square() * field(x, told))[core]
        return ((offsets - move) / patches.sigma[core]).square().sum(dim=1)
