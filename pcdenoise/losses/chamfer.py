"""The Chamfer distance and P2M of the denoised patch, as benchmarks measure them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class Chamfer:
    """What the results are judged by: both sides of the Chamfer distance, and the distance to the surface.

        loss_i = ( |D_i - c_i|^2 + |y_i - d_i|^2 + w (n_i . (D_i - c_i))^2 + v |D_i - y_i|^2 ) / e^2
        1 / (e^2 - (f s)^2) = 1 / sigma^2 + 1 / (a s (s + sigma))

    with `D = x + told^2 score` the denoised points, `c_i` the clean point nearest to `D_i`, `n_i` its normal, `y_i` the
    clean point that row i came from and `d_i` the denoised point nearest to `y_i`.

    The least squared distance to `y_i` alone (`paired_dsm`) is reached by the mean of all positions that the noisy
    cloud allows, and that mean may lie where no surface is: between two sides of a thin wall, or inside an edge. The
    second term counts what such a mean leaves bare.

    `e^2` is the error that can be reached: that of leaving the points alone, or, where it is less, of averaging over
    neighbours, which with noise sigma and spacing s leaves about `a s (s + sigma)`, as measured from 0.5 to 3 spacings.
    Over sigma^2 instead, strong noise, of which more is removed, would hardly count.

    Args:
        surface_weight: w.
        paired_weight: v.
        attainable: a; infinite for `e^2 = sigma^2 + (f s)^2`.
        floor: f, in local spacings; keeps noise far below them, which nothing can remove, from filling the loss.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    levels: ClassVar[None] = None

    surface_weight: float = 3.0
    paired_weight: float = 0.1
    attainable: float = 0.25
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
        move = told.square() * field(x, told)
        # No neighbour can be found for what is not finite; the loss is not finite either, and the trainer says so.
        denoised = (x + move.detach()).nan_to_num(0.0, 0.0, 0.0)
        nearest = patches.nearest_clean(denoised[core], 1)[:, 0]
        clean = patches.clean[core]
        covering = torch.from_numpy(cKDTree(denoised.cpu().numpy()).query(clean.cpu().numpy())[1]).to(core.device)
        # Differences of positions are taken in float64: patches lie far apart.
        off = move[core] - (patches.surface[nearest] - x[core]).float()
        bare = move[covering] - (clean - x[covering]).float()
        paired = move[core] - (clean - x[core]).float()
        surface = (patches.normals[nearest] * off).sum(dim=1)
        averaged = self.attainable * patches.spacing * (patches.spacing + patches.sigma)
        scale = 1 / (1 / patches.sigma.square() + 1 / averaged) + (self.floor * patches.spacing).square()
        squared = off.square().sum(dim=1) + bare.square().sum(dim=1) + self.paired_weight * paired.square().sum(dim=1)
        return (squared + self.surface_weight * surface.square()) / scale[core, 0]
