"""Noise ladders, in local spacings: which levels a network learns, and through which a sampler comes down."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import UsageError


def _check(lowest: float, highest: float, count: int) -> None:
    if not 0 < lowest < highest or count < 2:
        raise UsageError(
            f"a ladder of {count} levels from {highest} down to {lowest}; give 0 < lowest < highest, count >= 2"
        )


@dataclass(frozen=True)
class Geometric:
    """`sigma_i = highest (lowest / highest)^(i / (count - 1))`, i = 0 .. count - 1 (Song & Ermon 2019, section 3).

    Args:
        lowest, highest: ends of the ladder, in local spacings.
        count: levels L.

    Raises:
        UsageError: not `0 < lowest < highest`, or fewer than two levels.
    """

    lowest: float = 0.1
    highest: float = 4.0
    count: int = 10

    def __post_init__(self) -> None:
        _check(self.lowest, self.highest, self.count)

    def sigmas(self) -> NDArray[np.float64]:
        """(count,) levels, falling."""
        return np.geomspace(self.highest, self.lowest, self.count)


@dataclass(frozen=True)
class Karras:
    """`sigma_i^(1/rho)` falls linearly from `highest^(1/rho)` to `lowest^(1/rho)` (Karras et al. 2022, eq. 5).

    Args:
        lowest, highest, count: as in `Geometric`.
        rho: 7 in the paper; the larger, the shorter the steps near `lowest`.
    """

    lowest: float = 0.1
    highest: float = 4.0
    count: int = 10
    rho: float = 7.0

    def __post_init__(self) -> None:
        _check(self.lowest, self.highest, self.count)

    def sigmas(self) -> NDArray[np.float64]:
        """(count,) levels, falling."""
        ends = np.linspace(self.highest ** (1 / self.rho), self.lowest ** (1 / self.rho), self.count)
        return np.asarray(ends**self.rho)


@dataclass(frozen=True)
class VariancePreserving:
    """The forward process of DDPM (Ho et al. 2020, eqs. 2 and 4), beta rising linearly.

        x^t = sqrt(1 - beta_t) x^{t-1} + sqrt(beta_t) z;   x^t = sqrt(abar_t) x^0 + sqrt(1 - abar_t) z

    The rescaled iterate `x_a^t = x^t / sqrt(abar_t)` is the clean cloud with noise
    `sigma_t = sqrt((1 - abar_t) / abar_t)`.

    Args:
        steps: T.
        beta_first, beta_last: beta_1 and beta_T, in (0, 1).

    Raises:
        UsageError: fewer than two steps, or betas outside (0, 1).
    """

    steps: int = 100
    beta_first: float = 1e-4
    beta_last: float = 0.055

    def __post_init__(self) -> None:
        if self.steps < 2 or not 0 < self.beta_first <= self.beta_last < 1:
            raise UsageError(
                f"a diffusion of {self.steps} steps, beta {self.beta_first} to {self.beta_last}; "
                "give at least 2 steps and 0 < beta_first <= beta_last < 1"
            )

    def betas(self) -> NDArray[np.float64]:
        """(T,) beta_1 .. beta_T."""
        return np.linspace(self.beta_first, self.beta_last, self.steps)

    def alphas_bar(self) -> NDArray[np.float64]:
        """(T,) abar_1 .. abar_T, the products of `1 - beta`."""
        return np.cumprod(1 - self.betas())

    def sigmas(self) -> NDArray[np.float64]:
        """(T,) noise of the rescaled iterates, rising."""
        bar = self.alphas_bar()
        return np.asarray(np.sqrt((1 - bar) / bar))
