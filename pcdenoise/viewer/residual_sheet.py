"""One picture of a residual check: how Gaussian the residuals along the normal are, and where they are not."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from pcdenoise.metrics.residuals import ResidualCheck
from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.figure import AFTER, BEFORE, FAINT, GOLD, plain_axes, save_figure, style
from pcdenoise.viewer.offscreen import render_points
from pcdenoise.viewer.shading import CLAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAP = (1180, 880)  # pixels
VERDICTS = {
    "Gaussian about zero": CLAY,
    "not about zero": GOLD,
    "not Gaussian": np.array([0.82, 0.29, 0.36]),
    "not tested": np.array([0.80, 0.82, 0.84]),
}
DOTS = 300  # of a QQ plot
BINS = 20


def residual_sheet(check: ResidualCheck, points: NDArray[Any], path: str | Path, *, title: str) -> None:
    """Write a PNG of 1920 x 1080 pixels.

    On the left, the quantiles of the residuals along the normal against those of a Gaussian, all together and each
    neighbourhood scaled to its own mean and deviation, and the p-values of the neighbourhoods. On the right, the cloud
    with the neighbourhoods that fail. The file is replaced as a whole or not at all.

    Args:
        check: from `check_residuals`.
        points: (n, 3), finite, where the residuals were looked at.
        path: of the PNG.
        title: the first line.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(19.2, 10.8), dpi=100, facecolor="white")
        figure.text(0.025, 0.955, title, fontsize=22, fontweight="bold", va="center")
        figure.text(0.025, 0.916, _summary(check), fontsize=13, color=FAINT, va="center")
        _draw_quantiles(figure.add_axes((0.055, 0.40, 0.285, 0.44)), check)
        _draw_p_values(figure.add_axes((0.055, 0.075, 0.285, 0.20)), check)
        _draw_map(figure, check, points)
    save_figure(figure, path)


def quantile_pairs(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a QQ plot shows: quantiles of a Gaussian at (i - 1/2) / n, and the values in order, in deviations.

    Of many values, those are kept that lie evenly along the quantiles.
    """
    n = len(values)
    reach = ndtri(1 - 0.5 / n)
    ranks = np.unique(np.rint(n * ndtr(np.linspace(-reach, reach, DOTS)) - 0.5).astype(np.int64))
    scaled = np.sort((values - values.mean()) / values.std())
    return ndtri((ranks + 0.5) / n), scaled[ranks]


def _summary(check: ResidualCheck) -> str:
    normal = check.directions["normal"]
    return (
        f"residuals along the normal: skewness {normal.skewness:+.2f}, excess kurtosis {normal.excess_kurtosis:+.2f}; "
        f"of {normal.tested:,} neighbourhoods of {check.frames.groups.shape[1]} points {check.failing.sum():,} are not "
        f"Gaussian, {check.shifted.sum():,} not about zero"
    )


def _draw_quantiles(axes: "Axes", check: ResidualCheck) -> None:
    local = check.normal[check.frames.groups]
    deviation = local.std(axis=1, keepdims=True)
    scaled = ((local - local.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, np.nan)).ravel()
    reach = float(ndtri(1 - 0.5 / len(check.normal))) + 0.4
    axes.plot([-reach, reach], [-reach, reach], color=FAINT, linewidth=1, zorder=0)
    for values, name, colour in (
        (check.normal, "all together", BEFORE),
        (scaled[np.isfinite(scaled)], "each neighbourhood to its own scale", AFTER),
    ):
        axes.scatter(*quantile_pairs(values), s=14, color=colour, linewidths=0, label=name)
    axes.set(xlim=(-reach, reach))
    plain_axes(axes, "on the line, residuals are Gaussian")
    axes.set_xlabel("quantile of a Gaussian", color=FAINT)
    axes.set_ylabel("quantile of the residuals, in deviations", color=FAINT)
    axes.legend(frameon=False, loc="upper left", handletextpad=0.2)


def _draw_p_values(axes: "Axes", check: ResidualCheck) -> None:
    tested = check.p_values[np.isfinite(check.p_values)]
    axes.hist(tested, bins=BINS, range=(0, 1), color=AFTER, rwidth=0.9)
    axes.axhline(len(tested) / BINS, color=FAINT, linewidth=1)
    axes.set(xlim=(0, 1))
    plain_axes(axes, "Gaussian neighbourhoods fill each bin alike")
    axes.set_xlabel("p-value of the Jarque-Bera test", color=FAINT)
    axes.set_ylabel("neighbourhoods", color=FAINT)


def _draw_map(figure: "Figure", check: ResidualCheck, points: NDArray[np.float64]) -> None:
    from matplotlib.patches import Patch

    axes = figure.add_axes((0.375, 0.055, 0.61, 0.82))
    camera = Camera.facing(points, *MAP)
    axes.imshow(render_points(points, verdict_colours(check), camera=camera))
    axes.set_axis_off()
    axes.legend(
        handles=[Patch(color=tuple(colour), label=name) for name, colour in VERDICTS.items()],
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.02),
        ncols=len(VERDICTS),
        fontsize=12,
    )


def verdict_colours(check: ResidualCheck) -> NDArray[np.float64]:
    """(n, 3) the colour of each point: what became of its neighbourhood along the normal."""
    fine, shifted, failing, untested = VERDICTS.values()
    of_group = np.tile(fine, (len(check.p_values), 1))
    of_group[check.shifted] = shifted
    of_group[check.failing] = failing
    of_group[np.isnan(check.p_values)] = untested
    colours = np.tile(untested, (check.points, 1))
    colours[check.frames.groups] = of_group[:, None]
    return colours
