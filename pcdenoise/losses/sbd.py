"""The diffusion objective whose network sees the features of the noisiest cloud."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pcdenoise.errors import UsageError
from pcdenoise.patches import NoisyPatches
from pcdenoise.schedules import VariancePreserving
from pcdenoise.score import ScoreField

Weighting = Literal["note", "former"]


@dataclass(frozen=True)
class SBD:
    """Diffusion loss conditioned on `F_T = EdgeFeatures(x^T)` (the project's study note "SBD Loss"; the forward
    process and the variational bound are those of Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", 2020,
    eqs. 2 to 5).

        L = 1/2 sum_t E |beta_t sqrt(abar_t) / sqrt(1 - abar_t) s_theta(x_a^t | F_T) - sqrt(1 - alpha_t) grad q(x^t)|^2

    `x^t = sqrt(abar_t) x^0 + sqrt(1 - abar_t) eps_t`, and `x_a^t = x^t / sqrt(abar_t) = x^0 + sigma_t eps_t` is where
    the field stands, `sigma_t = sqrt((1 - abar_t) / abar_t)`. The note's `sqrt(abar_t) s_theta` stands for `-eps_t`, so
    with the score s of the field at level sigma_t it is `sigma_t s`, and the first term `beta_t / sqrt(1 - abar_t)
    sigma_t s`. In the second, `grad q(x^t) = -z`, z the noise of the one step from t - 1 to t. Given `x^0` and `x^t`, z
    is Gaussian around

        E[z | x^t, x^0] = Cov(z, eps_t) eps_t = sqrt(beta_t / (1 - abar_t)) eps_t,

    and given these it does not depend on `x^T` either. Putting that mean in the place of z changes the loss by a
    constant and its gradient not at all, and lowers its variance. Then both terms share a factor:

        L = 1/2 sum_t E w_t | sigma_t s(x_a^t, sigma_t | F_T) + eps_t |^2,   w_t = beta_t^2 / (1 - abar_t)

    which is the note's new weighting; the former one is `w_t = 1` (the `L_simple` of Ho et al., eq. 14). At every t
    both have the same minimum at `s = -E[eps_t | x^t, F_T] / sigma_t`, the predictor of DDPM; the weights only say
    which t counts how much, and the note's count the steps with the most noise most.

    `x^T` is the noisy cloud, and its noise `sigma_T` is that of the patch, so T differs from patch to patch. The step t
    is uniform among those of the schedule with `sigma_t <= sigma_T`, one for each patch (the sum over t is their mean
    times their number), and `x_a^t` is drawn between clean and noisy point, see `bridge`.

    Args:
        schedule: the forward process; its sigmas are in local spacings.
        weighting: `note` or `former`.

    Raises:
        UsageError: no such weighting.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"levels", "local"})
    levels: ClassVar[None] = None

    schedule: VariancePreserving = VariancePreserving()  # noqa: RUF009 - frozen
    weighting: Weighting = "note"

    def __post_init__(self) -> None:
        if self.weighting not in get_args(Weighting):
            raise UsageError(f"loss.weighting is {self.weighting!r}; give one of {', '.join(get_args(Weighting))}")

    def __call__(self, field: ScoreField, x: Tensor, patches: NoisyPatches, generator: torch.Generator) -> Tensor:
        """Loss of the points of the core, (c,), for the cloud x = x^T (n, 3) that the field was made from."""
        core = patches.core
        t = self._steps(patches, generator)
        levels = torch.from_numpy(self.schedule.sigmas()).to(patches.sigma)
        # where a patch has less noise than the first step, that step takes the patch's
        sigma = torch.minimum(levels[t] * patches.spacing, patches.sigma)
        iterate = bridge(patches.clean, x, sigma, patches.sigma, generator)
        eps = (iterate - patches.clean)[core].float() / sigma[core]
        squared = ((sigma * field(iterate, sigma))[core] + eps).square().sum(dim=1) / 2
        return self._weights().to(squared)[t[core, 0]] * squared

    def _steps(self, patches: NoisyPatches, generator: torch.Generator) -> Tensor:
        """Index (n, 1) of the step t into the schedule, the same within a patch."""
        first = slice(None, None, len(patches.noisy) // patches.count)
        noise = (patches.sigma / patches.spacing)[first, 0].contiguous()
        below = torch.searchsorted(torch.from_numpy(self.schedule.sigmas()).to(noise), noise, right=True)
        share = torch.rand(patches.count, generator=generator, device=noise.device, dtype=torch.float64)
        return (share * below).long().repeat_interleave(len(patches.noisy) // patches.count)[:, None]

    def _weights(self) -> Tensor:
        """w_t (T,)."""
        betas, bar = self.schedule.betas(), self.schedule.alphas_bar()
        return torch.from_numpy(betas**2 / (1 - bar) if self.weighting == "note" else np.ones_like(betas))


def bridge(clean: Tensor, noisy: Tensor, sigma: Tensor, highest: Tensor, generator: torch.Generator) -> Tensor:
    """A rescaled iterate between clean and noisy points, distributed as the forward process has it.

        x_a^t | x^0, x_a^T  ~  N( x^0 + u (x_a^T - x^0),  sigma_t^2 (1 - u) I ),   u = sigma_t^2 / sigma_T^2

    `x_a^t = x_a^{t-1} + sqrt(beta_t / abar_t) z`, and `beta_t / abar_t = sigma_t^2 - sigma_{t-1}^2`: the rescaled
    iterates are a Brownian motion in the time `sigma_t^2`, which between two known ends is the Brownian bridge. For
    `x_a^T = x^0 + sigma_T eps` its variance around `x^0` is `u^2 sigma_T^2 + sigma_t^2 (1 - u) = sigma_t^2`, as it has
    to be.

    Args:
        clean, noisy: (n, 3) `x^0` and `x_a^T`.
        sigma: (n, 1) sigma_t, at most `highest`.
        highest: (n, 1) sigma_T.
        generator: of the noise.

    Returns:
        (n, 3) `x_a^t`, as exact as the ends.
    """
    share = (sigma / highest).square()
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    return clean + share * (noisy - clean) + sigma * (1 - share).sqrt() * noise
