"""Figures from papers, to be set beside our own, never among them."""

import csv
from dataclasses import dataclass
from pathlib import Path

from pcdenoise.bench.scenes import Condition

TABLE = Path(__file__).with_name("published_results.csv")
RECALLED = "recalled"  # not checked against the paper
FAMILIES = ("A", "B")
CAVEAT = (
    "Published figures are of the authors' own samplings and noise. The shapes are the same, ours are sampled anew: "
    "comparable, not identical. † recalled, not checked against the paper. P2M of family A (no triangle-area "
    "threshold) and B (pytorch3d's default) are different numbers and never stand in one block."
)


@dataclass(frozen=True)
class PublishedResult:
    """One figure of a paper.

    Attributes:
        dataset: `PU-Net`.
        points: of a cloud.
        noise: level, relative to the unit sphere, Gaussian.
        method: its name.
        cd: Chamfer distance x 1e4, or None.
        p2m: P2M x 1e4, or None.
        family: of the P2M, one of `FAMILIES`: A without a triangle-area threshold, B with that of pytorch3d.
        status: `transcribed` from the paper or `recalled`.
    """

    dataset: str
    points: int
    noise: float
    method: str
    cd: float | None
    p2m: float | None
    family: str
    status: str

    def at(self, condition: Condition) -> bool:
        """Whether it is of this condition."""
        return condition == Condition(self.points, "gaussian", self.noise)

    def value(self, column: str) -> float | None:
        """The figure that belongs into the column of one of our metrics, if any."""
        if column == "chamfer":
            return self.cd
        return self.p2m if column == {"A": "p2m", "B": "p2m_family_b"}[self.family] else None


def published_results() -> list[PublishedResult]:
    """All that come with the package, in the order of the file."""

    def number(text: str) -> float | None:
        return float(text) if text else None

    with TABLE.open(newline="") as file:
        return [
            PublishedResult(
                dataset=row["dataset"],
                points=int(row["points"]),
                noise=float(row["noise"]),
                method=row["method"],
                cd=number(row["cd_x1e4"]),
                p2m=number(row["p2m_x1e4"]),
                family=row["p2m_family"],
                status=row["status"],
            )
            for row in csv.DictReader(file)
        ]
