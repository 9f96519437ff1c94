"""What moves the points of a cloud."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Mover(Protocol):
    """What moves the points of a cloud, see `LearnedDenoiser`."""

    @property
    def device(self) -> "torch.device | str": ...

    @property
    def neighbours(self) -> int: ...

    @property
    def passes(self) -> int: ...

    @property
    def polished_once(self) -> int: ...

    @property
    def relaxation(self) -> float: ...

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],
        passes: int,
        progress: Callable[[float], None] = ...,
        seed: int = ...,
        iterate: Callable[[NDArray[np.float64]], None] = ...,
    ) -> NDArray[np.float64]: ...
