"""The one interface between mathematics and machinery.

Every model answers the same question: standing at `x`, in a cloud blurred by `sigma`, which way is the surface?

    model.field(noisy)  -> ScoreField     looks at the noisy cloud once
    field(x, sigma)     -> score          one row per point of the noisy cloud, in 1 / length

Losses ask fields while a network learns, samplers follow them when it is used; neither knows which network it is.
What a network can do stands in its `offers`, what a loss or a sampler needs of it in its `needs`:

    levels   told the noise level, it answers for that level
    local    row i answers from the features of row i for any position, and no other row's position matters
    energy   its score is the gradient of a scalar energy
    slope    its score can be differentiated by position while it is trained
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pcdenoise.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

REMEDIES = {
    "levels": "a network that is told the noise level, such as network=edgeconv",
    "local": "a network whose rows answer for any position, such as network=conditional",
    "energy": "a network with a scalar energy, such as network=energy",
    "slope": "a network whose score can be differentiated once more, such as network=edgeconv",
}


class ScoreField(Protocol):
    """The score `grad log q_sigma(x)`, one row per point of the noisy cloud that the field was made from."""

    def __call__(self, x: "Tensor", sigma: "Tensor") -> "Tensor":
        """Score at x (n, 3) for noise sigma (n, 1), in the unit of x; returns (n, 3) in 1 / unit."""
        ...


class LocalScoreField(ScoreField, Protocol):
    """A score field whose row i is a function of space of its own, given by the features of row i."""

    def at(self, rows: "Tensor", offsets: "Tensor", sigma: "Tensor") -> "Tensor":
        """Score of rows (q,) at their points of the noisy cloud plus offsets (q, m, 3), for sigma (q, 1); (q, m, 3)."""
        ...


@dataclass(frozen=True)
class DenoiserField:
    """Score of a denoiser `D(x, sigma)`, the expected clean position of each row, by Tweedie's formula.

        score(x, sigma) = (D(x, sigma) - x) / sigma^2

    (Robbins 1956; Efron, "Tweedie's formula and selection bias", 2011.)
    """

    denoise: "Callable[[Tensor, Tensor], Tensor]"

    def __call__(self, x: "Tensor", sigma: "Tensor") -> "Tensor":
        return (self.denoise(x, sigma) - x) / sigma**2


@dataclass(frozen=True)
class NoiseField:
    """Score of a predictor of `eps` in `x = clean + sigma eps`: `score(x, sigma) = -eps(x, sigma) / sigma`."""

    predict: "Callable[[Tensor, Tensor], Tensor]"

    def __call__(self, x: "Tensor", sigma: "Tensor") -> "Tensor":
        return -self.predict(x, sigma) / sigma


class Sampler(Protocol):
    """A way to follow a score field from the noise level of a cloud down: numbers, and a generator of iterates.

    Attributes:
        needs: what it needs of the network.
        evaluations: how often it asks the field, at most.
    """

    needs: ClassVar[frozenset[str]]

    @property
    def evaluations(self) -> int:
        """See above."""
        ...

    def __call__(
        self, field: ScoreField, x: "Tensor", sigma: "Tensor", generator: "torch.Generator | None" = None
    ) -> "Iterator[Tensor]":
        """Yields the iterates (n, 3), the start x (n, 3) not included; sigma (n, 1) is the noise of the start.

        What is drawn is drawn for the whole cloud from the generator.
        """
        ...


def check_fits(part: str, needs: frozenset[str], network: str, offers: frozenset[str]) -> None:
    """Refuse a loss or a sampler that needs what the network cannot do.

    Args:
        part, network: how they are called, for the message.
        needs, offers: of `levels`, `local`, `energy`, `slope`.

    Raises:
        UsageError: says what is missing and which network has it.
    """
    for need in sorted(needs - offers):
        raise UsageError(f"{part} does not go with {network}: it needs {REMEDIES[need]}")


def named(config: Any) -> str:
    """The class that a `{_target_: ...}` configuration names, for messages."""
    return str(config["_target_"]).rpartition(".")[2]
