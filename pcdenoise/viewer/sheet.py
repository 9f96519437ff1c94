"""One picture of what a denoiser did: a cloud before and after, a section through both, and how far it moved."""

import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.geometry.noise import spacing
from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.offscreen import fitting_point_size, render_points
from pcdenoise.viewer.shading import CLAY, normals, rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, BEFORE, AFTER = "#1f2933", "#7b8794", "#d1495b", "#2e78b7"
GOLD = np.array([0.95, 0.69, 0.20])
WINDOW = 60  # width of a section, in spacings of the cloud
POINTS = 300  # wanted in a section
PICTURE = (930, 640)  # pixels of a cloud before or after
MAP = (560, 470)  # pixels of the map of the movements


@dataclass(frozen=True, eq=False)
class Section:
    """A thin slab through a cloud, and the window of it that is drawn.

    Attributes:
        centre: (3,) the middle of the window.
        axes: (3, 3) rows are unit vectors: through the slab, then along the sides of the window, right and up.
        width: of the window.
        thickness: of the slab.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    width: float
    thickness: float

    @classmethod
    def through(cls, points: NDArray[np.float64], camera: Camera, detail: float) -> "Section":
        """The window that shows the most surface edge-on, among those whose middle the camera sees.

        Args:
            points: (n, 3), finite, at least one.
            camera: says what is visible, and which way to cut.
            detail: a length that should be seen in the window.
        """
        pitch = spacing(points)
        width = min(max(WINDOW * pitch, 30 * detail), float(np.ptp(points, axis=0).max())) or 1.0
        up = np.eye(3)[np.abs(camera.axes[1]).argmax()]
        axes = np.stack([camera.section, np.cross(up, camera.section), up])
        generator = np.random.default_rng(0)
        sample = points[generator.choice(len(points), min(len(points), 40_000), replace=False)]
        slab = max(2 * pitch, 0.02 * width)
        edge_on = 0.4 - np.abs(normals(points, sample, 24) @ camera.section)  # below 0 where it runs along the surface
        middles = generator.permutation(sample[_visible(sample, camera)])[:60]
        best, chosen = -np.inf, sample[:1]
        for middle in middles:
            offset = (sample - middle) @ axes.T
            inside = (np.abs(offset) <= np.array([slab, width, width]) / 2).all(axis=1)
            if edge_on[inside].sum() > best and inside.any():
                best, chosen = edge_on[inside].sum(), sample[inside]
        local = chosen @ axes.T
        low, high = local.min(axis=0), local.max(axis=0)
        size = 1.12 * float((high - low)[1:].max()) or width
        window = cls((low + high) / 2 @ axes, axes, size, thickness=width)
        across = np.sort(np.abs((points[window.contains(points)] - window.centre) @ camera.section))
        enough = 2 * float(across[min(POINTS, len(across)) - 1]) if len(across) else width
        return replace(window, thickness=min(max(enough, 2 * pitch), 0.1 * window.width) or width)

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) true in the slab and the window."""
        offset = np.abs((points - self.centre) @ self.axes.T)
        return np.asarray((offset <= np.array([self.thickness, self.width, self.width]) / 2).all(axis=1))

    def flat(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (n, 3) to (n, 2) along the sides of the window, from its middle."""
        flat: NDArray[np.float64] = ((points - self.centre) @ self.axes.T)[:, 1:]
        return flat


def _visible(points: NDArray[np.float64], camera: Camera, cell: int = 24) -> NDArray[np.bool_]:
    """(n,) true for points that are, within 2 % of their distance, the nearest in their cell of the picture."""
    seen = camera.sees(points)
    x, y, depth = camera.project(points[seen]).T
    place = (y // cell).astype(np.int64) * (camera.width // cell + 1) + (x // cell).astype(np.int64)
    nearest = np.full((camera.height // cell + 1) * (camera.width // cell + 1), np.inf)
    np.minimum.at(nearest, place, depth)
    seen[seen] = depth <= 1.02 * nearest[place]
    return seen


def before_after_sheet(
    before: PointCloud, after: PointCloud, path: str | Path, *, title: str | None = None, unit: str = "file units"
) -> None:
    """Write a PNG of 1920 x 1320 pixels that compares two versions of a cloud.

    Above, both clouds from the same place in the same colours, lit by their local normals, so that noise is seen as
    roughness. Below, the same thin section through both, and how far each point moved (to the nearest point of `before`
    where rows were dropped). The file is replaced as a whole or not at all.

    Args:
        before: the noisy cloud.
        after: the cleaned cloud.
        path: of the PNG.
        title: the first line; by default the number of points.
        unit: what the coordinates count, for the labels.

    Raises:
        InputError: one of the clouds has no finite point.
        OutputError: the file cannot be written.
    """
    if not (before.finite.any() and after.finite.any()):
        raise InputError("a cloud without a finite point has no picture; check the input file")
    figure = _composed(before, after, title or f"{len(before):,} point{'s' if len(before) != 1 else ''}", unit)
    _write(figure, Path(path))


def movements(before: PointCloud, after: PointCloud) -> NDArray[np.float64]:
    """(n,) how far each row of `after` lies from its row of `before`, NaN where one is not finite.

    Where rows were dropped, and row i is no longer row i, the distance is that to the nearest point of `before`.
    """
    if len(before) == len(after):
        moved: NDArray[np.float64] = np.linalg.norm(after.points - before.points, axis=1)
        return moved
    moved = np.full(len(after), np.nan)
    moved[after.finite] = cKDTree(before.points[before.finite]).query(after.points[after.finite])[0]
    return moved


def _composed(before: PointCloud, after: PointCloud, title: str, unit: str) -> "Figure":
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    camera = Camera.facing(after.points, *PICTURE)
    moved = movements(before, after)
    typical = float(np.nanmedian(moved)) if np.isfinite(moved).any() else 0.0
    section = Section.through(after.points[after.finite], camera, typical)
    size = fitting_point_size(after.points[camera.sees(after.points)], camera)

    with rc_context({"font.size": 11, "text.color": INK, "axes.edgecolor": FAINT, "text.parse_math": False}):
        figure = Figure(figsize=(19.2, 13.2), dpi=100, facecolor="white")
        figure.text(0.025, 0.962, title, fontsize=22, fontweight="bold", va="center")
        figure.text(
            0.025, 0.930, _summary(moved, len(before) - len(after), unit), fontsize=13, color=FAINT, va="center"
        )
        for left, cloud, name, colour in ((0.01, before, "before", BEFORE), (0.505, after, "after", AFTER)):
            axes = figure.add_axes((left, 0.425, 0.485, 0.485))
            axes.imshow(render_points(cloud.points, _tinted(cloud, section), camera=camera, point_size=size))
            axes.set_axis_off()
            axes.text(
                0.03, 0.97, name, transform=axes.transAxes, fontsize=17, fontweight="bold", color=colour, va="top"
            )
        for left, cloud, name, colour in ((0.055, before, "before", BEFORE), (0.355, after, "after", AFTER)):
            axes = figure.add_axes((left, 0.055, 0.255, 0.32))
            _draw_section(axes, section, cloud, f"section, {name}", colour, unit)
        _draw_map(figure, after, moved, unit)
    return figure


def _summary(moved: NDArray[np.float64], dropped: int, unit: str) -> str:
    known = moved[np.isfinite(moved)]
    if len(known) == 0:
        return "no point is finite in both clouds"
    half, most = np.percentile(known, [50, 99])
    words = f"half of the points moved more than {half:.3g} {unit}, one in a hundred more than {most:.3g}"
    return words + (f"; {dropped:,} points dropped" if dropped > 0 else "")


def _tinted(cloud: PointCloud, section: Section) -> NDArray[np.float64]:
    """The cloud's colours, or clay, with gold where the section is."""
    colors = cloud.attributes.get("colors")
    tinted = np.tile(CLAY, (len(cloud), 1)) if colors is None else rgb(colors)
    tinted[section.contains(cloud.points)] = GOLD
    return tinted


def _ring(axes: "Axes", section: Section, camera: Camera) -> None:
    """Point out a section that is small in the picture."""
    from matplotlib.patches import Circle

    (x, y, depth), *_ = camera.project(section.centre[None])
    across = camera.focal * section.width / camera.distance / depth
    if across < camera.height / 6:
        axes.add_patch(Circle((x, y), max(across, 12.0), fill=False, color=INK, linewidth=1.6))


def _draw_section(axes: "Axes", section: Section, cloud: PointCloud, name: str, colour: str, unit: str) -> None:
    cut = section.flat(cloud.points[section.contains(cloud.points)])
    dot = float(np.clip(6000 / max(len(cut), 1), 1.5, 16.0))
    axes.scatter(cut[:, 0], cut[:, 1], s=dot, color=colour, linewidths=0)
    axes.set(xlim=(-section.width / 2, section.width / 2), ylim=(-section.width / 2, section.width / 2))
    axes.set_aspect("equal", adjustable="box")
    axes.set_title(name, fontsize=14, fontweight="bold", color=colour, loc="left")
    axes.set_xlabel(f"{unit}; the golden strip above, {section.thickness:.2g} thick", color=FAINT)
    axes.tick_params(colors=FAINT)
    axes.locator_params(nbins=5)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_map(figure: "Figure", after: PointCloud, moved: NDArray[np.float64], unit: str) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    known = moved[np.isfinite(moved)]
    top = float(np.percentile(known, 99)) if len(known) else 0.0
    scale = ScalarMappable(Normalize(0.0, top or 1.0), colormaps["viridis"])
    colours: NDArray[Any] = scale.to_rgba(np.nan_to_num(moved))[:, :3]
    axes = figure.add_axes((0.655, 0.045, 0.265, 0.34))
    camera = Camera.facing(after.points, *MAP)
    axes.imshow(render_points(after.points, colours, camera=camera, shaded=False))
    axes.set_axis_off()
    axes.set_title("how far each point moved", fontsize=14, fontweight="bold", color=INK, loc="left")
    bar = figure.colorbar(scale, cax=figure.add_axes((0.93, 0.075, 0.012, 0.27)), extend="max" if top else "neither")
    bar.set_label(unit, color=FAINT)
    bar.ax.tick_params(colors=FAINT)
    bar.outline.set_visible(False)


def _write(figure: "Figure", path: Path) -> None:
    """Write beside the target first, so that a reader never sees half a picture."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(6)}.png")
    try:
        figure.savefig(temporary, format="png")
        temporary.replace(target)
    except OSError as error:
        remedy = "choose an existing folder you may write to, with space left"
        raise OutputError(f"cannot write {path}: {error.strerror}; {remedy}") from error
    finally:
        temporary.unlink(missing_ok=True)
