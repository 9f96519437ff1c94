"""Implicit score matching: no target, but the divergence of the field."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.autograd import grad

from pcdenoise.losses.one_level import OneLevel
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class Implicit(OneLevel):
    """Implicit score matching (Hyvarinen, JMLR 2005, theorem 1), the trace exact by autograd.

        loss_i = sigma^2 ( tr(grad s_i(y_i)) + |s_i(y_i)|^2 / 2 ),   y_i = clean_i + sigma z_i

    In expectation this is `explicit` less `sigma^2 / 2 E|grad log q_sigma|^2`, which no parameter changes. No target is
    needed, noisy points alone say it.

    They must be others than those the network has seen, though. The features of row i know where the noisy point x_i
    and its neighbours lie; asked there, the field can put a spike on each of them, `s(r) = -(r - x_i) / h^2`, whose
    trace `-3 / h^2` has no bound. Asked at a second draw of the same clean points, it cannot know them, and learns the
    score of what a second noisy scan of the surface would measure, given the first. Two real scans would do as well;
    here the second one is made from the clean points.

    One derivative per dimension for all rows at once, which is the trace of each row only where no row's answer depends
    on another row's position. For other fields there is `sliced`.

    Args:
        sigma: noise level, in local spacings.

    Raises:
        UsageError: sigma is not positive.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"local", "slope"})

    def __call__(
        self,
        field: ScoreField,
        x: Tensor,  # noqa: ARG002 - never where the network has looked
        patches: NoisyPatches,
        generator: torch.Generator,
    ) -> Tensor:
        """Loss of the points of the core, (c,)."""
        core, sigma = patches.core, patches.sigma
        y = second_scan(patches, generator).requires_grad_()
        score = field(y, sigma)[core]
        trace = score.new_zeros(len(core))
        for axis, along in enumerate(score.unbind(dim=1)):
            (slope,) = grad(along.sum(), y, create_graph=True, materialize_grads=True)
            trace = trace + slope[core, axis].to(score)
        return sigma[core, 0].square() * (trace + score.square().sum(dim=1) / 2)


def second_scan(patches: NoisyPatches, generator: torch.Generator) -> Tensor:
    """Noisy points (n, 3) of the same clean points, as noisy as the first and independent of them."""
    shape, device = patches.clean.shape, patches.clean.device
    return patches.clean + patches.sigma * torch.randn(shape, generator=generator, device=device)
