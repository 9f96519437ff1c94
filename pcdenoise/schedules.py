"""Noise ladders, in local spacings: which levels a network learns, and through which a sampler comes down.

A sampler starts at the noise level that a cloud has, row by row: it takes the place of the highest rung.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.errors import UsageError


@dataclass(frozen=True)
class Ladder(ABC):
    """Levels that fall from `highest` to `lowest` by the rule of a subclass.

    Args:
        lowest, highest: ends of the ladder, in local spacings.
        count: levels L.

    Raises:
        UsageError: not `0 < lowest < highest`, or not a whole number of at least two levels.
    """

    lowest: float = 0.1
    highest: float = 4.0
    count: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest or not isinstance(self.count, int) or self.count < 2:
            raise UsageError(
                f"a ladder of {self.count} levels from {self.highest} down to {self.lowest}; "
                "give 0 < lowest < highest and a whole count from 2"
            )

    def sigmas(self) -> NDArray[np.float64]:
        """(count,) levels, falling."""
        told = torch.tensor([[self.highest]], dtype=torch.float64)
        return torch.cat(list(self.rungs(told)))[:, 0].numpy()

    def rungs(self, told: Tensor) -> Iterator[Tensor]:
        """Yields `count` levels shaped as `told`, falling from it by the ladder's rule to `lowest`, each row its own.

        Args:
            told: (n, 1) noise of the cloud. A row that is not above `lowest` stays at its level.
        """
        yield told
        # numpy in float64, because a power of torch may depend in its last bit on how many threads share a tensor.
        top = told.detach().cpu().double().numpy()
        bottom = np.minimum(top, self.lowest)
        for i in range(1, self.count - 1):
            level = np.clip(self._between(top, bottom, i / (self.count - 1)), bottom, top)
            yield torch.from_numpy(level).to(told)
        yield torch.from_numpy(bottom).to(told)

    @abstractmethod
    def _between(self, top: NDArray[np.float64], bottom: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        """Levels at a share of the way down, from 0 at the top to 1 at the bottom."""


@dataclass(frozen=True)
class Geometric(Ladder):
    """`sigma_i = highest (lowest / highest)^(i / (count - 1))`, i = 0 .. count - 1 (Song & Ermon 2019, section 3).

    Args, Raises:
        See `Ladder`.
    """

    def _between(self, top: NDArray[np.float64], bottom: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        return np.asarray(top * (bottom / top) ** share)


@dataclass(frozen=True)
class Karras(Ladder):
    """`sigma_i^(1/rho)` falls linearly from `highest^(1/rho)` to `lowest^(1/rho)` (Karras et al. 2022, eq. 5).

    Args:
        lowest, highest, count: see `Ladder`.
        rho: at least 1; 7 in the paper. The larger, the shorter the steps near `lowest`; endless, it is `Geometric`.

    Raises:
        UsageError: see `Ladder`; and rho below 1.
    """

    rho: float = 7.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rho >= 1:
            raise UsageError(f"rho of the ladder is {self.rho}; give a number from 1")

    def _between(self, top: NDArray[np.float64], bottom: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        root = 1 / self.rho
        return np.asarray((top**root + share * (bottom**root - top**root)) ** self.rho)


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
        UsageError: fewer than two steps or not a whole number, or betas outside (0, 1).
    """

    steps: int = 100
    beta_first: float = 1e-4
    beta_last: float = 0.055

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 2 or not 0 < self.beta_first <= self.beta_last < 1:
            raise UsageError(
                f"a diffusion of {self.steps} steps, beta {self.beta_first} to {self.beta_last}; "
                "give a whole number of steps from 2 and 0 < beta_first <= beta_last < 1"
            )

    def betas(self) -> NDArray[np.float64]:
        """(T,) beta_1 .. beta_T."""
        return np.linspace(self.beta_first, self.beta_last, self.steps)

    def alphas_bar(self) -> NDArray[np.float64]:
        """(T,) abar_1 .. abar_T, the products of `1 - beta`."""
        return np.asarray(np.cumprod(1 - self.betas()))

    def sigmas(self) -> NDArray[np.float64]:
        """(T,) noise of the rescaled iterates, rising."""
        bar = self.alphas_bar()
        return np.asarray(np.sqrt((1 - bar) / bar))

    def rungs(self, told: Tensor, count: int | None = None) -> Iterator[Tensor]:
        """Yields `count` levels shaped as `told`: itself, then those `sigma_t` below it, evenly spread over t.

        Each row has its own. A row with m < count - 1 levels below it stays at some of them for more than one rung; one
        that is not above `sigma_1` stays where it is.

        Args:
            told: (n, 1) noise of the cloud; it takes the place of `sigma_T` where it is larger.
            count: None is T, every level.
        """
        count = count or self.steps
        sigmas = self.sigmas()
        top = told.detach().cpu().double().numpy()
        below = np.searchsorted(sigmas, top)
        yield told
        for left in range(count - 1, 0, -1):
            t = -(-below * left // count)
            yield torch.from_numpy(np.where(t > 0, sigmas[t - 1], top)).to(told)


def descend(rungs: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (level, next level) for each step from the first rung to zero, but none in which no row comes down."""
    levels = iter(rungs)
    upper = next(levels)
    for lower in levels:
        if not torch.equal(upper, lower):
            yield upper, lower
        upper = lower
    yield upper, torch.zeros_like(upper)
