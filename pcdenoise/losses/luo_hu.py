"""The objective of Score-Based Point Cloud Denoising."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.errors import UsageError
from pcdenoise.geometry.neighbours import knn
from pcdenoise.losses.targets import Target, check_target, towards_clean
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import LocalScoreField


@dataclass(frozen=True)
class LuoHu:
    """Local score fields in k-NN frames (Luo & Hu, "Score-Based Point Cloud Denoising", ICCV 2021, eqs. 4 to 6).

        loss_i = w / 2  mean_{r in N(x_i)} |S_i(r) - t(r)|^2,   t(r) = mean of the k clean points nearest to r, minus r

    `N(x_i)` is the frame of the noisy points nearest to x_i, itself among them, and `S_i(r) = told^2 score_i(r)` the
    displacement that row i predicts for a point at `r - x_i`: row i answers for its whole neighbourhood, not for itself
    alone. The paper writes one nearest clean point (eq. 5), its code takes the mean of 4 and `w = 1 / 0.01` in the unit
    of the unit sphere. Only as many rows are asked in each patch as give a good gradient.

    Self-supervised, the nearest noisy points (8 in the paper, r among them) stand for the clean ones: what they average
    is the surface where the noise across it is even.

    Args:
        queries: rows asked in each patch, drawn from its core; all of a smaller core.
        frame: points of a frame.
        target: see `towards_clean`.
        neighbours: k of `mean_of_nearest` and of the self-supervised mean.
        weight: w, one over the unit of the patches.
        self_supervised: whether the noisy points are all there is.

    Raises:
        UsageError: no such target, or a self-supervised loss with a clean one.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"local"})
    levels: ClassVar[None] = None

    queries: int = 128
    frame: int = 32
    target: Target = "mean_of_nearest"
    neighbours: int = 4
    weight: float = 100.0
    self_supervised: bool = False

    def __post_init__(self) -> None:
        check_target(self.target, self.neighbours)
        if self.self_supervised and self.target != "mean_of_nearest":
            raise UsageError(
                f"loss.target is {self.target}, a clean point, and the loss self-supervised; "
                "leave loss.target=mean_of_nearest, which then takes noisy points"
            )

    def __call__(self, field: LocalScoreField, x: Tensor, patches: NoisyPatches, generator: torch.Generator) -> Tensor:
        """Loss of each row asked, (q,), for the cloud x (n, 3) that the field was made from."""
        core = patches.core.view(patches.count, -1)
        order = torch.rand(core.shape, generator=generator, device=core.device).argsort(dim=1)
        rows = core.gather(1, order[:, : self.queries]).flatten()
        frame = knn(x, self.frame, x[rows])[1]
        # Frames overlap: each of their points looks for its target once.
        distinct, place = torch.unique(frame, return_inverse=True)
        target = self._towards_surface(x, distinct, patches)[place]
        told = patches.estimate[rows]
        offsets = (x[frame] - x[rows][:, None]).float()
        move = told.square()[:, None] * field.at(rows, offsets, told)
        return (move - target).square().sum(dim=2).mean(dim=1) * (self.weight / 2)

    def _towards_surface(self, x: Tensor, rows: Tensor, patches: NoisyPatches) -> Tensor:
        """Offsets (q, 3) from x[rows] to their targets."""
        if not self.self_supervised:
            return towards_clean(self.target, self.neighbours, x, rows, patches)
        nearest = x[knn(x, self.neighbours, x[rows])[1]]
        return (nearest - x[rows][:, None]).mean(dim=1).float()
