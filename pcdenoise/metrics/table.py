"""The table of metrics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from pcdenoise.metrics.bias import bias
from pcdenoise.metrics.chamfer import chamfer, chamfer_l1
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.displacement import (
    displacement_percentile,
    gaussian_share,
    mean_displacement,
    rms_displacement,
    share_worse,
    tangential_displacement,
)
from pcdenoise.metrics.f_score import f_score
from pcdenoise.metrics.hausdorff import hausdorff
from pcdenoise.metrics.normal_angle import normal_angle
from pcdenoise.metrics.point_to_mesh import p2m
from pcdenoise.metrics.regions import error_in, share_in
from pcdenoise.metrics.uniformity import uniformity

Direction = Literal["lower", "higher", "zero", "none"]
"""What is better; `none` for a number that explains others."""


class Unit(NamedTuple):
    """What a printed number counts: `value in R, R^2, ... = number / factor`."""

    text: str
    factor: float


SQUARED = Unit("1e-4 R^2", 1e4)
LENGTH = Unit("1e-2 R", 1e2)
SHARE = Unit("%", 1e2)
ANGLE = Unit("deg", 1.0)


@dataclass(frozen=True)
class Metric:
    """One number about a result.

    Attributes:
        name: in tables and as a key; says the family or percentile where there are several.
        unit: of the number that `__call__` gives and tables print.
        direction: what is better.
        measure: a pair -> the number in R, R^2, a share, ..., or None where the pair does not define it. Its docstring
            is the metric's definition.
        needs: what the pair must have besides result and clean cloud, of `Comparison.offers`.
    """

    name: str
    unit: Unit
    direction: Direction
    measure: Callable[[Comparison], float | None]
    needs: tuple[str, ...] = ()

    def __call__(self, pair: Comparison) -> float | None:
        """The number in the printed unit."""
        value = self.measure(pair)
        return None if value is None else self.unit.factor * value


METRICS: tuple[Metric, ...] = (
    Metric("chamfer", SQUARED, "lower", chamfer),
    Metric("p2m", SQUARED, "lower", p2m, ("mesh",)),
    Metric("point_to_face", SQUARED, "lower", partial(p2m, part="point_to_face"), ("mesh",)),
    Metric("face_to_point", SQUARED, "lower", partial(p2m, part="face_to_point"), ("mesh",)),
    Metric("p2m_family_b", SQUARED, "lower", partial(p2m, family="B"), ("mesh",)),
    Metric("point_to_face_family_b", SQUARED, "lower", partial(p2m, part="point_to_face", family="B"), ("mesh",)),
    Metric("face_to_point_family_b", SQUARED, "lower", partial(p2m, part="face_to_point", family="B"), ("mesh",)),
    Metric("chamfer_l1", LENGTH, "lower", chamfer_l1),
    Metric("hausdorff", LENGTH, "lower", hausdorff),
    Metric("hausdorff_99", LENGTH, "lower", partial(hausdorff, percentile=99)),
    Metric("hausdorff_95", LENGTH, "lower", partial(hausdorff, percentile=95)),
    Metric("f_score", SHARE, "higher", f_score),
    Metric("bias", LENGTH, "zero", bias, ("orientation",)),
    Metric("normal_angle", ANGLE, "lower", normal_angle),
    Metric("error_edge", SQUARED, "lower", partial(error_in, region="edge"), ("mesh",)),
    Metric("error_thin", SQUARED, "lower", partial(error_in, region="thin"), ("mesh",)),
    Metric("error_smooth", SQUARED, "lower", partial(error_in, region="smooth"), ("mesh",)),
    Metric("share_edge", SHARE, "none", partial(share_in, region="edge"), ("mesh",)),
    Metric("share_thin", SHARE, "none", partial(share_in, region="thin"), ("mesh",)),
    Metric("uniformity", SHARE, "lower", uniformity),
    Metric("displacement_mean", LENGTH, "none", mean_displacement, ("noisy",)),
    Metric("displacement_rms", LENGTH, "none", rms_displacement, ("noisy",)),
    Metric("displacement_95", LENGTH, "none", partial(displacement_percentile, percentile=95), ("noisy",)),
    Metric("displacement_max", LENGTH, "none", partial(displacement_percentile, percentile=100), ("noisy",)),
    Metric("displacement_tangential", LENGTH, "none", tangential_displacement, ("noisy",)),
    Metric("share_worse", SHARE, "lower", share_worse, ("noisy",)),
    Metric("jarque_bera", SHARE, "higher", gaussian_share, ("noisy",)),
)


def applicable(pair: Comparison, metrics: Sequence[Metric] = METRICS) -> list[Metric]:
    """Those that have what they need."""
    return [metric for metric in metrics if pair.offers.issuperset(metric.needs)]


def measure(pair: Comparison, metrics: Sequence[Metric] = METRICS) -> dict[str, float]:
    """The numbers that a pair defines, each in its printed unit, by name."""
    numbers = {metric.name: metric(pair) for metric in applicable(pair, metrics)}
    return {name: number for name, number in numbers.items() if number is not None}
