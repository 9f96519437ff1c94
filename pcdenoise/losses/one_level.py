"""What the losses at a single noise level share."""

from dataclasses import dataclass

from pcdenoise.errors import UsageError


@dataclass(frozen=True)
class OneLevel:
    """A loss whose patches all have the same noise in units of their spacing.

    Args:
        sigma: noise level, in local spacings.

    Raises:
        UsageError: sigma is not positive.
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise UsageError(f"loss.sigma is {self.sigma}; give a noise level above 0, in local spacings")

    @property
    def levels(self) -> tuple[float, ...]:
        """The one noise level."""
        return (self.sigma,)
