"""What all pictures have in common: their ink, and where they may be written."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import OutputError
from pcdenoise.io import check_place, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, BEFORE, AFTER = "#1f2933", "#7b8794", "#d1495b", "#2e78b7"
GOLD = np.array([0.95, 0.69, 0.20])


def style() -> AbstractContextManager[None]:
    """matplotlib's settings while a figure is drawn: file names are no formulas."""
    from matplotlib import rc_context

    settings: AbstractContextManager[None] = rc_context(
        {"font.size": 11, "text.color": INK, "axes.edgecolor": FAINT, "text.parse_math": False}
    )
    return settings


def plain_axes(axes: "Axes", title: str) -> None:
    """Give axes a title on the left, and take away what does not inform."""
    axes.set_title(title, fontsize=14, fontweight="bold", color=INK, loc="left")
    axes.tick_params(colors=FAINT)
    axes.spines[["top", "right"]].set_visible(False)


def check_picture(path: Path, *, overwrite: bool = False, suffixes: tuple[str, ...] = (".png",)) -> None:
    """Refuse a place where no picture can be written, before any work is done for it.

    Args:
        path: of the picture.
        overwrite: replace an existing file.
        suffixes: the endings that say what can be written.

    Raises:
        OutputError: another suffix, a directory, an existing file, a folder that is missing or not writable.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path} is no name for a picture; end it in {' or '.join(suffixes)}")
    check_place(path, overwrite=overwrite)


def figure_pixels(figure: "Figure") -> NDArray[np.uint8]:
    """(height, width, 3) of a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
