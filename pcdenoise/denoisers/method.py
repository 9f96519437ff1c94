"""What every denoiser of the benchmark answers to, learned or classical."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh


class Method(Protocol):
    """A denoiser: an option of `conf/method/`, whose constructor is its configuration.

    Attributes:
        source: paper or library that it is from.
        needs: what it must be given besides the points: `mesh` for an oracle.
    """

    source: ClassVar[str]
    needs: ClassVar[frozenset[str]]

    def __call__(
        self, points: NDArray[np.float64], sigma: float | None = None, mesh: Mesh | None = None, seed: int = 0
    ) -> NDArray[np.float64]:
        """Denoised positions (n, 3), row by row.

        Args:
            points: (n, 3), any unit, finite.
            sigma: noise per coordinate, in that unit; None lets the method estimate it (blind).
            mesh: vertices (v, 3) and faces (f, 3) of the true surface, for oracles.
            seed: of what the method draws.
        """
        ...


@dataclass(frozen=True)
class MethodMover:
    """A method, blind, in the place of a network: what `denoise_with_report` asks of either.

    What it moves is not held back: a method that removes outliers moves them far.
    """

    method: Method

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cpu"

    @property
    def passes(self) -> int:
        """Of a network; a method counts as one."""
        return 1

    @property
    def polished_once(self) -> int:
        """Of a network."""
        return 1

    @property
    def relaxation(self) -> float:
        """Of a network; what a method made is not spread."""
        return 0.0

    @property
    def neighbours(self) -> int:
        """A cloud needs more points than that."""
        return int(getattr(self.method, "least", 1)) - 1

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],  # noqa: ARG002 - what networks are told of is less than the estimate
        passes: int,  # noqa: ARG002 - one
        progress: Callable[[float], None] = lambda done: None,
        seed: int = 0,
        iterate: Callable[[NDArray[np.float64]], None] = lambda x: None,
    ) -> NDArray[np.float64]:
        """Denoised positions, see `LearnedDenoiser`."""
        moved = self.method(points, seed=seed)
        iterate(moved)
        progress(1.0)
        return moved
