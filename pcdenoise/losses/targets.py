"""Where a noisy point should go: the targets of denoising score matching."""

from typing import Literal, get_args

from torch import Tensor

from pcdenoise.errors import UsageError
from pcdenoise.patches import NoisyPatches

Target = Literal["paired", "nearest", "mean_of_nearest"]


def check_target(target: str, neighbours: int) -> None:
    """Refuse targets that do not exist.

    Raises:
        UsageError: not a `Target`, or not at least one neighbour.
    """
    if target not in get_args(Target):
        raise UsageError(f"loss.target is {target!r}; give one of {', '.join(get_args(Target))}")
    if neighbours < 1:
        raise UsageError(f"loss.neighbours is {neighbours}; give at least 1")


def towards_clean(target: Target, neighbours: int, x: Tensor, rows: Tensor, patches: NoisyPatches) -> Tensor:
    """Offsets (q, 3) float32 from x[rows] to their targets.

        paired           the clean point that the row came from (Vincent 2011): in expectation the score of the noisy
                         points, which points to the inside of curved surfaces
        nearest          the clean point nearest to x (Luo & Hu 2021, eq. 5): on the surface, a shorter way than the
                         noise
        mean_of_nearest  the mean of the nearest clean points (Luo & Hu's published code): evens out the sampling

    Args:
        target: which of these.
        neighbours: clean points that `mean_of_nearest` takes.
        x: (n, 3) where the cloud stands.
        rows: (q,) the rows that are asked about.
        patches: with the clean points.
    """
    here = x[rows]
    if target == "paired":
        return (patches.clean[rows] - here).float()
    nearest = patches.surface[patches.nearest_clean(here, 1 if target == "nearest" else neighbours)]
    return (nearest - here[:, None]).mean(dim=1).float()
