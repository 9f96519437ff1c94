"""Draw what a score learned at one noise level knows far from the data, beside one learned at a ladder of levels.

    python tools/plot_low_density.py docs/low_density.png

The experiment is that of `tests/samplers/test_low_density.py`. Prints the numbers of `docs/low_density.md`.
"""

import argparse
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from pcdenoise.viewer.figure import AFTER, BEFORE, FAINT, INK

HALF, SIDE = 9.0, 181  # of the maps
UNSEEN = 6.0  # of 300,000 samples none is expected beyond it
DENSITIES = (0, 8, 50, 100, 200)  # marked on the curve's axis, as powers of ten below the largest
NAMES = {
    "single": ("one level", BEFORE, "-"),
    "told the lowest level": ("ladder, told the lowest level", AFTER, "--"),
    "told the likely level": ("ladder, told the likely level", AFTER, "-"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tests = Path(__file__).resolve().parents[1] / "tests"
    sys.path[:0] = [str(tests), str(tests / "samplers")]
    experiment = import_module("low_density")
    torch.set_num_threads(1)  # as in the test: the networks are small
    trained = experiment.LowDensity(arguments.seed)
    x = experiment.grid(HALF, SIDE)
    errors, r = trained.errors(x), experiment.rarity(x)
    chains = trained.chains(2000)
    report(experiment, errors, r, chains)
    draw(experiment, errors, r, chains).savefig(arguments.picture)


def report(
    experiment: Any, errors: dict[str, tuple[Tensor, Tensor]], r: Tensor, chains: dict[str, list[Tensor]]
) -> None:
    """Print the errors near the data and far from them, and where the chains end."""
    for name, (error, truth) in errors.items():
        near, far = (experiment.relative_error(error[part], truth[part]) for part in (r < UNSEEN / 3, r > UNSEEN))
        print(f"{name}: error {100 * near:.0f} % near the data, {100 * far:.0f} % in low density")
    for name, chain in chains.items():
        print(f"{name}: shares of the modes {[round(share, 3) for share in experiment.shares(chain[-1]).tolist()]}")


def draw(
    experiment: Any,
    errors: dict[str, tuple[Tensor, Tensor]],
    r: Tensor,
    chains: dict[str, list[Tensor]],
) -> Figure:
    """Two rows: maps and curve of the error; ways of Langevin dynamics and where they end."""
    with rc_context({"font.size": 11, "text.color": INK, "axes.edgecolor": FAINT, "axes.labelcolor": INK}):
        figure = Figure(figsize=(15.0, 10.4), dpi=100, facecolor="white")
        figure.text(
            0.035,
            0.962,
            "Far from the data a score is a guess, unless noise has been there",
            fontsize=20,
            fontweight="bold",
        )
        figure.text(
            0.035,
            0.932,
            "Two equal networks, equally long trained: one at a single noise level, one at a ladder of ten.",
            fontsize=13,
            color=FAINT,
        )
        for left, name in ((0.035, "single"), (0.325, "told the likely level")):
            axes = figure.add_axes((left, 0.515, 0.26, 0.375))
            shown = _map(axes, experiment, errors[name], r)
            _title(axes, f"error of the score, {NAMES[name][0].split(',')[0]}", NAMES[name][1])
        bar = figure.colorbar(shown, cax=figure.add_axes((0.598, 0.535, 0.009, 0.335)), extend="both")
        bar.set_ticks([0.03, 0.1, 0.3, 1.0], labels=["3 %", "10 %", "30 %", "100 %"])
        bar.minorticks_off()
        bar.ax.tick_params(colors=FAINT)
        bar.outline.set_visible(False)
        _curve(figure.add_axes((0.715, 0.565, 0.265, 0.325)), experiment, errors, r)
        for left, name, key in ((0.035, "single", "single"), (0.325, "conditional", "told the likely level")):
            axes = figure.add_axes((left, 0.045, 0.26, 0.375))
            _ways(axes, experiment, chains[name], NAMES[key][1])
            words = "Langevin dynamics, one level" if name == "single" else "annealed Langevin, ladder"
            _title(axes, words, NAMES[key][1])
        figure.text(
            0.598,
            0.415,
            f"from the rings\nto the dots:\n{experiment.CHAIN} steps each;\none in {_stride(experiment)} drawn",
            fontsize=11,
            color=FAINT,
            va="top",
        )
        _bars(figure.add_axes((0.715, 0.085, 0.265, 0.335)), experiment, chains)
    return figure


def _title(axes: Axes, words: str, colour: str) -> None:
    axes.set_title(words, fontsize=14, fontweight="bold", color=colour, loc="left")


def _bare(axes: Axes, half: float) -> None:
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], aspect="equal")


def _map(axes: Axes, experiment: Any, error: tuple[Tensor, Tensor], r: Tensor) -> Any:
    """|error| / |true score|, with the data and the line beyond which there are none."""
    off, truth = error
    relative = (off.norm(dim=1) / truth.norm(dim=1)).view(SIDE, SIDE).T.numpy()
    extent = (-HALF, HALF, -HALF, HALF)
    shown = axes.imshow(
        relative, extent=extent, origin="lower", norm=LogNorm(0.03, 1.0), cmap="YlOrBr", interpolation="bilinear"
    )
    axis = np.linspace(-HALF, HALF, SIDE)
    axes.contour(axis, axis, r.view(SIDE, SIDE).T.numpy(), levels=[UNSEEN], colors=INK, linewidths=1.0, linestyles="--")
    data = experiment.MIXTURE.sample(600, torch.Generator().manual_seed(0))
    axes.scatter(data[:, 0], data[:, 1], s=2, color=INK, linewidths=0, alpha=0.6)
    _bare(axes, HALF)
    return shown


def _curve(axes: Axes, experiment: Any, errors: dict[str, tuple[Tensor, Tensor]], r: Tensor) -> None:
    """Error against density: root mean squares over rings of equal density."""
    edges = np.concatenate([[0, 2, 4], np.arange(6, 38, 2)])
    middles = (edges[1:] + edges[:-1]) / 2
    axes.axvspan(UNSEEN, edges[-1], color="#f3f4f6", zorder=0)
    axes.text(UNSEEN + 0.6, 0.022, "no sample falls here", color=FAINT, fontsize=11)
    for name, (error, truth) in errors.items():
        words, colour, style = NAMES[name]
        rings = [(r >= low) & (r < high) for low, high in pairwise(edges)]
        values = [experiment.relative_error(error[ring], truth[ring]) for ring in rings]
        axes.plot(middles, values, style, color=colour, linewidth=2.0, label=words)
    axes.set(yscale="log", ylim=(0.02, 1.6), xlim=(0, edges[-1]))
    axes.set_yticks([0.03, 0.1, 0.3, 1.0], labels=["3 %", "10 %", "30 %", "100 %"])
    axes.set_yticks([], minor=True)
    ticks = [(2 * np.log(10) * power) ** 0.5 for power in DENSITIES]
    axes.set_xticks(ticks, labels=["1" if power == 0 else f"$10^{{-{power}}}$" for power in DENSITIES])
    axes.set_xlabel("density of the data, relative to its largest")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(0.27, 0.6), fontsize=10.5)
    axes.tick_params(colors=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    _title(axes, "error against density", INK)


def _stride(experiment: Any) -> int:
    """Steps at one rung: so many lie between two drawn positions."""
    return int(experiment.CHAIN // experiment.LADDER.count)


def _ways(axes: Axes, experiment: Any, chain: list[Tensor], colour: str) -> None:
    """Some ways from their start, and where all of them end."""
    ways = torch.stack(chain[:: _stride(experiment)])[:, :12].numpy()
    axes.plot(ways[:, :, 0], ways[:, :, 1], color=colour, linewidth=1.1, alpha=0.7)
    axes.scatter(ways[0, :, 0], ways[0, :, 1], s=30, facecolor="white", edgecolor=colour, linewidth=1.4, zorder=3)
    end = chain[-1]
    axes.scatter(end[:, 0], end[:, 1], s=3, color=INK, linewidths=0, alpha=0.5, zorder=4)
    _bare(axes, 2 * experiment.LADDER.highest)


def _bars(axes: Axes, experiment: Any, chains: dict[str, list[Tensor]]) -> None:
    """Share of each mode: in the data, and where the chains end."""
    modes = np.arange(3)
    groups = {
        "the data": (experiment.MIXTURE.weights, INK),
        "one level": (experiment.shares(chains["single"][-1]), BEFORE),
        "one level, exact score": (experiment.shares(chains["exact"][-1]), FAINT),
        "down the ladder": (experiment.shares(chains["conditional"][-1]), AFTER),
    }
    for k, (name, (shares, colour)) in enumerate(groups.items()):
        axes.bar(modes + 0.2 * (k - 1.5), shares.numpy(), width=0.17, color=colour, label=name)
    axes.set_xticks(modes, labels=["left", "right", "top"])
    axes.set_yticks([0, 0.2, 0.4], labels=["0 %", "20 %", "40 %"])
    axes.set_ylim(0, 0.66)
    axes.tick_params(colors=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper right", fontsize=10.5, columnspacing=1.2)
    _title(axes, "share of each mode at the end", INK)


if __name__ == "__main__":
    main()
