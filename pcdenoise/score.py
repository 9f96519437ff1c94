"""The one interface between mathematics and machinery.

Every model answers the same question: standing at `x`, in a cloud blurred by `sigma`, which way is the surface?

    model.field(noisy)  -> ScoreField     looks at the noisy cloud once
    field(x, sigma)     -> score          one row per point of the noisy cloud, in 1 / length
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class ScoreField(Protocol):
    """The score `grad log q_sigma(x)`, one row per point of the noisy cloud that the field was made from."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Score at x (n, 3) for noise sigma (n, 1), in the unit of x; returns (n, 3) in 1 / unit."""
        ...


@dataclass(frozen=True)
class DenoiserField:
    """Score of a denoiser `D(sigma)`, the expected clean position of each row, by Tweedie's formula.

        score(x, sigma) = (D(sigma) - x) / sigma^2

    (Robbins 1956; Efron, "Tweedie's formula and selection bias", 2011.)
    """

    denoise: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return (self.denoise(sigma) - x) / sigma**2
