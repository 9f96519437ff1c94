"""What each stage of a staged denoiser is told, and at how many subsets of the cloud it looks."""

from collections.abc import Sequence

from pcdenoise.errors import UsageError


class StagePlan:
    """The chain of stages of a `pcdenoise.networks.denoiser.StagedDenoiser`, without their networks; see there.

    Args:
        count: stages.
        subset_sigma, polish, polishes, polish_subsets: see `StagedDenoiser`.

    Attributes:
        last: the number of the last stage, from 0.
        leading: stages that do not polish; what the last of them hands on, all polishing ones are given.
        shares: of the noise that each stage is told.
        limits: of the spreading before each stage, as a share of the noise: what the one before was told.

    Raises:
        UsageError: a value outside its range.
    """

    FULL_SUBSET, HALF = 6000, 0.5  # chosen on validation shapes of 10,000 and 50,000 points
    SMALLEST_SUBSET = 500  # points, of a patch in training, too

    def __init__(
        self,
        count: int,
        subset_sigma: float | None,
        polish: float | Sequence[float] | None,
        polishes: int,
        polish_subsets: float,
    ) -> None:
        told = () if polish is None else tuple(polish) if isinstance(polish, Sequence) else (polish,) * polishes
        if polish is not None and not (0 < len(told) == polishes < count and all(0 < its < 1 for its in told)):
            raise UsageError(
                f"network.polish is {polish}, in {polishes} of {count} stages; give null, or a share below 1, or "
                "one for each, in at least one stage and not in all"
            )
        if subset_sigma is not None and not subset_sigma > 0:
            raise UsageError(f"network.subset_sigma is {subset_sigma}; give a number above 0, or null")
        if polish_subsets < 0:
            raise UsageError(f"network.polish_subsets is {polish_subsets}; give 0 or more")
        self.subset_sigma, self.polish_subsets, self.last = subset_sigma, polish_subsets, count - 1
        self.leading = count - len(told)
        self.shares = (1.0,) * self.leading + told
        self.limits = (0.0,) * self.leading + (1.0, *told)[: len(told)]

    @property
    def polished_once(self) -> int:
        """Passes that are its stages, with no more than one that polishes."""
        return min(self.last, self.leading) + 1

    @property
    def passes(self) -> int:
        """Passes that can do good: all stages, and at least two that polish where the last one does."""
        return max(self.last + 1, self.leading + 2) if self.leading <= self.last else self.last + 1

    def stage_subsets(self, stage: int, wanted: float, points: int) -> float:
        """How many subsets a stage looks at, not rounded.

        Args:
            stage: its number, from 0.
            wanted: subsets that the first stage looks at.
            points: of the cloud.
        """
        if stage == 0:
            return wanted
        if stage < self.leading:
            return 1.0
        first = max(1.0, min(self.polish_subsets * wanted, points // self.FULL_SUBSET))
        if stage == self.leading:
            return first
        return float(first ** (max(0, self.last - stage) / max(1, self.last - self.leading)))

    def subsets(self, relative: float, points: int) -> float:
        """How many interleaved subsets the first stage looks at, not rounded.

        Args:
            relative: the noise, in spacings of the cloud.
            points: of the cloud.
        """
        if self.subset_sigma is None:
            return 1.0
        wanted = min((relative / self.subset_sigma) ** 2, points // self.SMALLEST_SUBSET)
        return max(1.0, min(wanted, max(points / self.FULL_SUBSET, self.HALF * wanted)))
