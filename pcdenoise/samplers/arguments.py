"""What samplers check of their numbers, and the noise they draw."""

from typing import TYPE_CHECKING

from pcdenoise.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Raise a UsageError about `sampler.<name>` unless its value lies in its range."""
    if not holds:
        raise UsageError(f"sampler.{name} is {value}; give {allowed}")


def require_whole(name: str, value: object) -> None:
    """Raise a UsageError about `sampler.<name>` unless it is a whole number from 1."""
    require(isinstance(value, int) and value >= 1, name, value, "a whole number from 1")


def standard_normal(x: "Tensor", generator: "torch.Generator | None") -> "Tensor":
    """Noise of N(0, I), shaped as x (n, d): drawn row by row for the whole cloud, on the generator's own device.

    Raises:
        UsageError: there is no generator.
    """
    import torch

    if generator is None:
        raise UsageError("this sampler draws noise; give it a torch.Generator")
    z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device)
    return z.to(x.device)
