"""Sliced score matching: the divergence of the field along random directions."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.autograd import grad

from pcdenoise.errors import UsageError
from pcdenoise.losses.implicit import second_scan
from pcdenoise.losses.one_level import OneLevel
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class Sliced(OneLevel):
    """Sliced score matching (Song, Garg, Shi & Ermon, UAI 2019, section 3; Song & Ermon, NeurIPS 2019, eq. 3).

        loss_i = sigma^2 ( v_i . (sum_j (grad s_j)^T v_j)_i + (v_i . s_i)^2 / 2 )

    `v` is drawn from {-1, 1} for every coordinate, so in expectation over it the first term is the trace of
    `d s_i / d x_i` whatever the rows have to do with each other (Hutchinson's estimate over the whole cloud), and the
    second is `|s_i|^2 / 2`, which the form with reduced variance takes as it is: the loss is `implicit`, in one
    derivative for all dimensions.

    A field that looks at the very cloud it is asked about is asked at x: the trace counts what moving a point changes
    in its own features too, so that the loss matches the score of the noisy cloud as a whole. A local field has
    looked at x before; it is asked at a second scan, for the reason given in `implicit`. The score of an energy would
    have to be differentiated once more than the fused kernels can.

    Args:
        sigma: noise level, in local spacings.
        projections: directions per point whose losses are averaged.
        variance_reduced: whether `|s|^2` stands in place of `(v . s)^2`.

    Raises:
        UsageError: sigma is not positive, or not at least one projection.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"slope"})

    projections: int = 1
    variance_reduced: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.projections < 1:
            raise UsageError(f"loss.projections is {self.projections}; give at least 1")

    def __call__(self, field: ScoreField, x: Tensor, patches: NoisyPatches, generator: torch.Generator) -> Tensor:
        """Loss of the points of the core, (c,), for the cloud x (n, 3) that the field was made from."""
        core, sigma = patches.core, patches.sigma
        y = (second_scan(patches, generator) if hasattr(field, "at") else x.detach().clone()).requires_grad_()
        score = field(y, sigma)[core]
        total = score.new_zeros(len(core))
        for _ in range(self.projections):
            signs = torch.randint(0, 2, score.shape, generator=generator, device=score.device)
            v = (2 * signs - 1).to(score)
            (slope,) = grad((v * score).sum(), y, create_graph=True, materialize_grads=True)
            squared = score.square().sum(dim=1) if self.variance_reduced else (v * score).sum(dim=1).square()
            total = total + (v * slope[core].to(score)).sum(dim=1) + squared / 2
        return sigma[core, 0].square() * total / self.projections
