"""What a benchmark looks like: error against time, error against noise."""

import io
import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pcdenoise.bench.scenes import Condition
from pcdenoise.bench.summary import Results
from pcdenoise.metrics.table import METRICS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#1f2933", "#7b8794"
COLOURS = ("#2e78b7", "#d1495b", "#2a9d62", "#e0912f", "#7a52a8", "#00a3a3", "#8c5a3c", "#d36ab0", "#5c6b7a", "#a3a300")
MARKERS = "osD^vP*Xh<"
COLUMNS = 3  # panels side by side
DASHES = {"identity": (1, 2), "projection": (5, 2), "sampling": (5, 2, 1, 2)}


def error_against_time(results: Results, column: str = "chamfer") -> "Figure":
    """One panel a condition: mean seconds of a cloud, and mean error. Lost means are left out."""
    from matplotlib.ticker import LogLocator

    figure, panels = _panels(len(results.conditions))
    for axes, condition in zip(panels, results.conditions, strict=True):
        for number, entrant in enumerate(e for e in results.entrants if not e.is_floor):
            seconds, error = (_mean(results, entrant.name, condition, key) for key in ("seconds", column))
            if math.isfinite(error):
                axes.plot([seconds], [error], label=entrant.name, linestyle="none", markersize=9, **_style(number))
        for entrant in (e for e in results.entrants if e.is_floor):
            error = _mean(results, entrant.name, condition, column)
            axes.axhline(error, label=entrant.name, **_floor_style(entrant.name))
        axes.set_xscale("log")
        for axis_format in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis_format("{x:g}")
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.margins(x=0.15, y=0.1)
        axes.set_ylim(bottom=0)
        _label(axes, str(condition), "seconds a cloud", _title(column))
    _legend(figure, panels)
    return figure


def error_against_noise(results: Results, column: str = "chamfer") -> "Figure | None":
    """One panel for each noise model and resolution with several levels; None where there is none."""
    levelled = [condition for condition in results.conditions if condition.level is not None]
    panels = [list(group) for _, group in groupby(sorted(levelled, key=_without_level), key=_without_level)]
    panels = [group for group in panels if len(group) > 1]
    if not panels:
        return None
    figure, all_axes = _panels(len(panels))
    for axes, group in zip(all_axes, panels, strict=True):
        levels = [100 * (condition.level or 0) for condition in group]
        number = 0
        for entrant in results.entrants:
            heights = [_mean(results, entrant.name, condition, column) for condition in group]
            if entrant.is_floor:
                axes.plot(levels, heights, label=entrant.name, **_floor_style(entrant.name))
            else:
                axes.plot(levels, heights, label=entrant.name, linewidth=1.6, markersize=6, **_style(number))
                number += 1
        axes.set_ylim(bottom=0)
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        resolution, noise = _without_level(group[0])
        _label(axes, str(Condition(resolution, noise, None)), "noise, % of the radius", _title(column))
    _legend(figure, all_axes)
    return figure


def svg(figure: "Figure") -> str:
    """A figure as text."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pcdenoise"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _without_level(condition: Condition) -> tuple[int, str]:
    return condition.resolution, condition.noise


def _mean(results: Results, name: str, condition: Condition, column: str) -> float:
    """NaN where there is none."""
    number = results.value(name, condition, column, results.shapes).number
    return math.nan if number is None else number


def _title(column: str) -> str:
    unit = next(metric.unit.text for metric in METRICS if metric.name == column)
    return f"{column.replace('_', ' ')}, {unit}"


def _style(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _floor_style(name: str) -> dict[str, Any]:
    return {"color": FAINT, "linewidth": 1, "linestyle": (0, DASHES[name]), "zorder": 0}


def _panels(count: int) -> tuple["Figure", Sequence["Axes"]]:
    from matplotlib.figure import Figure

    across = min(COLUMNS, count)
    down = math.ceil(count / across)
    figure = Figure(figsize=(1.2 + 3.9 * across, 0.9 + 3.1 * down), dpi=100, layout="constrained", facecolor="white")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, list(axes[:count])


def _label(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11, fontweight="bold", color=INK, loc="left", parse_math=False)
    axes.set_xlabel(x, color=FAINT)
    axes.set_ylabel(y, color=FAINT)
    axes.tick_params(which="both", colors=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)


def _legend(figure: "Figure", panels: Sequence["Axes"]) -> None:
    found: dict[str, Artist] = {}
    for axes in panels:
        handles, names = axes.get_legend_handles_labels()
        found |= {str(name): handle for name, handle in zip(names, handles, strict=True)}
    if found:
        columns = 1 + 2 * min(COLUMNS, len(panels))
        figure.legend(
            list(found.values()), list(found), loc="outside lower left", ncols=columns, frameon=False, fontsize=9
        )
