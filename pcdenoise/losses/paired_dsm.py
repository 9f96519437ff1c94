"""Denoising score matching on pairs of noisy and clean points, with a term for the surface."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class PairedDSM:
    """Denoising score matching (Vincent, Neural Computation 2011, eq. 10), with a term for the surface itself.

        loss_i = ( |D_i - y_i|^2 / 3  +  w (n_i . (D_i - c_i))^2 ) / (sigma^2 + (f s)^2),   D = x + told^2 score

    With `f = 0` and the true noise told, the first term is `sigma^2 |score + (x - y) / sigma^2|^2 / 3`: DSM with weight
    `sigma^2`. The field is told the blind estimate of the noise, as it will be when it is used. `c_i` is the clean
    point nearest to `D_i` and `n_i` its normal: averaging over clean points pulls inwards on curved surfaces, the
    second term takes the prediction back onto the surface. `f` keeps noise far below the local spacing `s`, which
    nothing can remove, from filling the loss.

    Args:
        surface_weight: w.
        floor: f, in local spacings.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    levels: ClassVar[None] = None

    surface_weight: float = 3.0
    floor: float = 0.2

    def __call__(
        self,
        field: ScoreField,
        x: Tensor,
        patches: NoisyPatches,
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> Tensor:
        """Loss of the points of the core, (c,), for the cloud x (n, 3) that the field was made from."""
        core, told = patches.core, patches.estimate
        move = (told.square() * field(x, told))[core]
        denoised = x[core] + move.detach()
        # No neighbour can be found for what is not finite; the loss is not finite either, and the trainer says so.
        nearest = patches.nearest_clean(denoised.nan_to_num(0.0, 0.0, 0.0), 1)[:, 0]
        # Differences of positions are taken in float64: patches lie far apart.
        paired = move - (patches.clean - x)[core].float()
        surface = (patches.normals[nearest] * (move - (patches.surface[nearest] - x[core]).float())).sum(dim=1)
        scale = patches.sigma.square() + (self.floor * patches.spacing).square()
        return (paired.square().sum(dim=1) / 3 + self.surface_weight * surface.square()) / scale[core, 0]
