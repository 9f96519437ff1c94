"""Explicit score matching: the Fisher divergence from a known score."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pcdenoise.errors import UsageError
from pcdenoise.losses.one_level import OneLevel
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


@dataclass(frozen=True)
class Explicit(OneLevel):
    """Fisher divergence from a known score (Vincent, Neural Computation 2011, `J_ESM_q_sigma`, left side of eq. 11).

        loss_i = sigma^2 / 2 |s(x_i) - grad log q_sigma(x_i)|^2

    Without another score to know, `q_sigma` is the density of the clean points blurred by sigma (Parzen's), and
    the expectation of the loss over noisy points is Vincent's times the weight sigma^2, which makes scales compare.
    Half of `dsm` has the same gradient in expectation (eq. 11) and needs no search: this one is for analytic
    distributions, tests and teaching.

    Args:
        sigma: noise level, in local spacings.
        neighbours: clean points that make up `q_sigma` at a point, the nearest ones. Those within `4 sigma` are about
            `50 (sigma / spacing)^2`; the ones beyond weigh less than 1e-3.

    Raises:
        UsageError: sigma is not positive, or not at least one neighbour.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    neighbours: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1:
            raise UsageError(f"loss.neighbours is {self.neighbours}; give at least 1")

    def __call__(
        self,
        field: ScoreField,
        x: Tensor,
        patches: NoisyPatches,
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
        known: ScoreField | None = None,
    ) -> Tensor:
        """Loss of the points of the core, (c,), for the cloud x (n, 3) that the field was made from.

        Args:
            known: the score to be matched, asked at the points of the core; None for that of the blurred clean points.
        """
        core = patches.core
        here, sigma = x[core], patches.sigma[core]
        target = blurred_score(here, sigma, patches, self.neighbours) if known is None else known(here, sigma)
        return (sigma * (field(x, patches.sigma)[core] - target)).square().sum(dim=1) / 2


def blurred_score(x: Tensor, sigma: Tensor, patches: NoisyPatches, neighbours: int) -> Tensor:
    """Score (q, 3) at x (q, 3) of the clean points blurred by sigma (q, 1), from those nearest to x.

    grad log sum_j exp(-|x - y_j|^2 / (2 sigma^2)) = sum_j w_j (y_j - x) / sigma^2,   w = softmax_j(...)
    """
    nearest = patches.surface[patches.nearest_clean(x, neighbours)]
    offsets = (nearest - x[:, None]).float() / sigma[:, None]
    weights = (-offsets.square().sum(dim=2, keepdim=True) / 2).softmax(dim=1)
    return (weights * offsets).sum(dim=1) / sigma
