"""One picture of what denoisers did: clouds side by side, how far off they are, and the same section through each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.geometry.placement import Placement, check_one_place
from pcdenoise.geometry.sampling import uniform
from pcdenoise.io import replacing
from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.colouring import DISPLACEMENT, ERROR, Colouring, Reference, colouring, colourings
from pcdenoise.viewer.figure import AFTER, BEFORE, FAINT, GOLD, INK, save_figure, style
from pcdenoise.viewer.offscreen import fitting_point_size, render_points
from pcdenoise.viewer.section import Section
from pcdenoise.viewer.shading import CLAY, rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AUTO = "auto"
BETWEEN = ("#8a6fb5", "#4f9d69", "#c98b2b", "#3fa7b5", "#b5651d", "#6b7280")  # clouds that are neither first nor last
MESH_POINTS = 60_000  # that stand for a mesh in a picture
COLUMNS = 4  # in a row of a sheet
WIDTHS = {1: 900, 2: 800, 3: 640, 4: 520}  # pixels of a column, by their number
ASPECT = 0.75  # height of a picture / width
EDGE, TITLE, HEADING, GAP, CAPTION, INDENT, AXIS = 40, 90, 50, 24, 50, 60, 90  # pixels around what is drawn
BINS = 60
SMALL_MARGIN = 0.08  # of a small picture, in which points are large
OVERHANG = 0.04  # length of the ends of a colour bar / the bar between them


def comparison_sheet(
    clouds: Mapping[str, PointCloud],
    path: str | Path,
    *,
    reference: Reference | None = None,
    by: str | None = AUTO,
    title: str = "",
    unit: str = "file units",
    limits: tuple[float, float] | None = None,
    section: Section | None = None,
) -> None:
    """Write a PNG that compares versions of one cloud; it is replaced as a whole or not at all.

    One column for each cloud, and one for the reference: the cloud lit by its local normals, so that noise is seen as
    roughness; below it the same view coloured by `by`, on one scale for all; below that the same thin section, with
    the reference in grey. Rows that are not finite, and in the coloured view points without a value, are counted and
    not drawn. After four columns the next ones start a new row.

    Args:
        clouds: name -> cloud, for instance `before` and `after`; at least one.
        path: of the PNG.
        reference: the true cloud or mesh.
        by: `error`, `displacement` or an attribute, see `colouring`; None for no coloured view; `auto` for the error
            where there is a reference, else the displacement where counts are equal, else none.
        title: the first line.
        unit: what the coordinates count, for the labels.
        limits: ends of the colour bar; give the same to several sheets to make them comparable.
        section: which one; by default one that shows much of the surface edge-on.

    Raises:
        InputError: no cloud, one without a finite point, clouds in different units or places, or colours that these
            clouds do not have.
        OutputError: the file cannot be written.
    """
    check_comparable(clouds, reference)
    if by == AUTO:
        by = next((name for name in colourings(clouds, reference) if name in (ERROR, DISPLACEMENT)), None)
    painted = None if by is None else colouring(by, clouds, reference, unit, limits)
    with style():
        figure = _composed(clouds, drawable(reference), painted, title, unit, section)
        save_figure(figure, path)


def thumbnail(
    cloud: PointCloud,
    path: str | Path,
    *,
    values: NDArray[np.float64] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    camera: Camera | None = None,
    size: tuple[int, int] = (240, 180),
) -> None:
    """Write a small PNG of one cloud and nothing else; it is replaced as a whole or not at all.

    Args:
        cloud: rows that are not finite are left out.
        path: of the PNG.
        values: (n,) to colour by, for instance from `distances`; NaN is drawn as nothing. By default the cloud's own
            colours, or clay, in the light of a lamp.
        limits: the values that have the first and the last colour; the same for all thumbnails that are compared.
        camera: where to look from; by default `Camera.facing(cloud.points)`. Give that of the clean cloud to all.
        size: width and height in pixels, where no camera is given.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.image import imsave

    camera = camera or Camera.facing(cloud.points, *size, margin=SMALL_MARGIN)
    if values is None:
        pixels = render_points(cloud.points, cloud.attributes.get("colors"), camera=camera)
    else:
        pixels = coloured_view(cloud, Colouring("", {"": values}, *limits), "", camera)
    with replacing(path) as temporary:
        imsave(temporary, pixels, format="png")


def check_comparable(clouds: Mapping[str, PointCloud], reference: Reference | None) -> None:
    """Refuse clouds that cannot be in one picture.

    Raises:
        InputError: no cloud, one without a finite point, or clouds in different units or places.
    """
    if not clouds:
        raise InputError("there is no cloud to show; name at least one")
    places = {name: (cloud.points, cloud.finite) for name, cloud in clouds.items()}
    if reference is not None:
        shown = drawable(reference)
        assert shown is not None
        places["the reference"] = shown.points, shown.finite
    for name, (_, finite) in places.items():
        if not finite.any():
            raise InputError(f"{name} has no finite point, and so no picture; check how it was exported")
    (first, expected), *others = ((name, Placement.median(points[finite])) for name, (points, finite) in places.items())
    for name, placement in others:
        check_one_place(name, placement, first, expected)


def drawable(reference: Reference | None) -> PointCloud | None:
    """A reference as points: a mesh is sampled, always at the same places."""
    if isinstance(reference, tuple):
        return PointCloud(uniform(*reference, MESH_POINTS, np.random.default_rng(0))[0])
    return reference


@dataclass(frozen=True, eq=False)
class _Column:
    """What stands above each other: a cloud, or the legend alone."""

    name: str = ""
    ink: str = INK
    cloud: PointCloud | None = None
    legend: bool = False


@dataclass(frozen=True, eq=False)
class _Sheet:
    """What all cells of a sheet share."""

    figure: "Figure"
    inks: dict[str, str]
    reference: PointCloud | None
    painted: Colouring | None
    section: Section
    camera: Camera
    density: float  # point size of a cloud of one point
    unit: str

    def axes(self, left: float, top: float) -> "Axes":
        """The cell whose upper left corner is at this pixel."""
        return self._axes(left, top, self.camera.width, self.camera.height)

    def _axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        across, down = 100 * self.figure.get_size_inches()
        return self.figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))

    def text(self, left: float, middle: float, words: str, **options: Any) -> None:
        across, down = 100 * self.figure.get_size_inches()
        self.figure.text(left / across, 1 - middle / down, words, va="center", **options)

    def draw(self, column: _Column, left: float, top: float) -> None:
        """A column, from the top down."""
        height = self.camera.height
        below = top + HEADING + height + (GAP + height + CAPTION if self.painted else GAP)
        if column.cloud is not None:
            size = self._point_size(column.cloud)
            self._draw_heading(column, left, top + HEADING / 2)
            colours = marked(column.cloud, self.section)
            axes = self.axes(left, top + HEADING)
            _picture(axes, render_points(column.cloud.points, colours, camera=self.camera, point_size=size))
            _ring(axes, self.section, self.camera)
            self._draw_section(self.axes(left + INDENT, below), column)
        if self.painted is None:
            return
        top += HEADING + height + GAP
        if column.legend:
            self._draw_legend(left, top)
        elif column.cloud is not None and column.name in self.painted.values:
            _picture(self.axes(left, top), coloured_view(column.cloud, self.painted, column.name, self.camera, size))
            values = self.painted.values[column.name]
            self.text(left, top + height + CAPTION / 3, self._caption(column.cloud, values), fontsize=12, color=FAINT)

    def _point_size(self, cloud: PointCloud) -> float:
        return float(np.clip(self.density / np.sqrt(cloud.finite.sum()), 1.0, 24.0))

    def _draw_heading(self, column: _Column, left: float, middle: float) -> None:
        assert column.cloud is not None
        lost = len(column.cloud) - int(column.cloud.finite.sum())
        words = f"{len(column.cloud):,} point{'s' if len(column.cloud) != 1 else ''}"
        words += f", {lost:,} without coordinates" if lost else ""
        self.text(left, middle, column.name, fontsize=17, fontweight="bold", color=column.ink)
        self.text(left + self.camera.width, middle, words, fontsize=12, color=FAINT, ha="right")

    def _caption(self, cloud: PointCloud, values: NDArray[np.float64]) -> str:
        assert self.painted is not None
        known = values[np.isfinite(values)]
        if len(known) == 0:
            return "no point has a value"
        half, most = np.percentile(known, [50, 99])
        without = int((cloud.finite & ~np.isfinite(values)).sum())
        unit = f" {self.unit}" if self.painted.is_length else ""
        lost = f"; {without:,} points without a value" if without else ""
        return f"half above {half:.3g}, 1 % above {most:.3g}{unit}{lost}"

    def _draw_section(self, axes: "Axes", column: _Column) -> None:
        assert column.cloud is not None
        if self.reference is not None and column.cloud is not self.reference:
            _scatter(axes, self.section, self.reference, "#c3cad2")
        _scatter(axes, self.section, column.cloud, column.ink)
        half = self.section.width / 2
        axes.set(xlim=(-half, half), ylim=(-half, half))
        axes.set_aspect("equal", adjustable="box", anchor="W")
        axes.set_xlabel(
            f"section {self.section.thickness:.2g} thick (gold above), {self.unit}", color=FAINT, loc="left"
        )
        axes.tick_params(colors=FAINT)
        axes.locator_params(nbins=5)
        axes.spines[["top", "right"]].set_visible(False)

    def _draw_legend(self, left: float, top: float) -> None:
        """The colour bar, under it what the colours are, above it how many points have them."""
        assert self.painted is not None
        low, high = self.painted.low, self.painted.high
        width, height = self.camera.width - 2 * INDENT, self.camera.height
        axes = self._axes(left + INDENT, top + 0.12 * height, width, 0.5 * height)
        for name, values in self.painted.values.items():
            known = values[np.isfinite(values)]
            counts, edges = np.histogram(known, bins=BINS, range=(low, high))
            axes.stairs(100 * counts / max(len(known), 1), edges, color=self.inks[name], linewidth=1.8, label=name)
        axes.set(xlim=(low, high), ylim=(0, None), xticks=[])
        axes.set_ylabel("% of the points", color=FAINT)
        axes.tick_params(colors=FAINT)
        axes.locator_params(axis="y", nbins=4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper right", fontsize=12)
        # the ends for values beyond the scale hang over, so that the bar lies under the histogram
        over = OVERHANG * width
        start, end = (0.0 if self.painted.is_length else over), over
        cax = self._axes(left + INDENT - start, top + 0.64 * height, start + width + end, 0.05 * height)
        draw_colour_bar(cax, self.painted)


def _composed(
    clouds: Mapping[str, PointCloud],
    reference: PointCloud | None,
    painted: Colouring | None,
    title: str,
    unit: str,
    section: Section | None,
) -> "Figure":
    from matplotlib.figure import Figure

    inks = dict(zip(clouds, _inks(len(clouds)), strict=True))
    columns = [_Column(name, inks[name], cloud) for name, cloud in clouds.items()]
    if reference is not None:
        columns.append(_Column("reference", INK, reference))
    if painted is not None:
        # the legend stands where a cloud has no coloured view, or in a column of its own
        free = next((i for i, column in enumerate(columns) if column.name not in painted.values), len(columns))
        columns[free : free + 1] = [replace(c, legend=True) for c in columns[free : free + 1] or [_Column()]]

    rows = -(-len(columns) // COLUMNS)
    wide = -(-len(columns) // rows)
    width, height = WIDTHS[wide], round(ASPECT * WIDTHS[wide])
    block = HEADING + height + (GAP + height + CAPTION if painted else GAP) + height + AXIS
    top = TITLE if title else EDGE
    size = 2 * EDGE + wide * width + (wide - 1) * GAP, top + rows * block

    model = list(clouds.values())[-1] if reference is None else reference
    points = model.points[model.finite]
    camera = Camera.facing(points, width, height)
    sheet = _Sheet(
        Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, facecolor="white"),
        inks,
        reference,
        painted,
        section or Section.through(points, camera, _detail(painted)),
        camera,
        fitting_point_size(points[camera.sees(points)], camera) * float(np.sqrt(len(points))),
        unit,
    )
    if title:
        sheet.text(EDGE, 0.5 * TITLE, title, fontsize=22, fontweight="bold")
    for i, column in enumerate(columns):
        row, place = divmod(i, wide)
        sheet.draw(column, EDGE + place * (width + GAP), top + row * block)
    return sheet.figure


def draw_colour_bar(axes: "Axes", painted: Colouring) -> None:
    """A horizontal colour bar that fills the axes, with what its colours mean."""
    assert axes.figure is not None
    bar = axes.figure.colorbar(
        painted.scale,
        cax=axes,
        orientation="horizontal",
        extend="max" if painted.is_length else "both",
        extendfrac=OVERHANG,
    )
    bar.set_label(painted.label, color=INK, fontsize=13)
    bar.ax.tick_params(colors=FAINT)
    bar.ax.locator_params(nbins=5)
    bar.outline.set_visible(False)


def _inks(count: int) -> list[str]:
    return [AFTER] if count == 1 else [BEFORE, *(BETWEEN[i % len(BETWEEN)] for i in range(count - 2)), AFTER]


def _detail(painted: Colouring | None) -> float:
    """A length that should be seen in a section."""
    if painted is None or not painted.is_length:
        return 0.0
    known = np.concatenate(list(painted.values.values()))
    return float(np.nanmedian(known)) if np.isfinite(known).any() else 0.0


def marked(cloud: PointCloud, section: Section) -> NDArray[np.float64]:
    """(n, 3) the cloud's colours, or clay, with gold where the section is."""
    colors = cloud.attributes.get("colors")
    colours = np.tile(CLAY, (len(cloud), 1)) if colors is None else rgb(colors)
    colours[section.contains(cloud.points)] = GOLD
    return colours


def coloured_view(
    cloud: PointCloud, painted: Colouring, name: str, camera: Camera, point_size: float | None = None
) -> NDArray[np.uint8]:
    """(height, width, 3): the points of a cloud that have a value, in its colour."""
    known = np.isfinite(painted.values[name])
    colours = painted.colours(name)[known]
    return render_points(cloud.points[known], colours, camera=camera, point_size=point_size, shaded=False)


def _picture(axes: "Axes", pixels: NDArray[np.uint8]) -> None:
    axes.imshow(pixels)
    axes.set_axis_off()


def _ring(axes: "Axes", section: Section, camera: Camera) -> None:
    """Point out a section that is small in the picture."""
    from matplotlib.patches import Circle

    (x, y, depth), *_ = camera.project(section.centre[None])
    across = camera.focal * section.width / camera.distance / depth
    if across < camera.height / 6:
        axes.add_patch(Circle((x, y), max(across, 12.0), fill=False, color=INK, linewidth=1.6))


def _scatter(axes: "Axes", section: Section, cloud: PointCloud, colour: str) -> None:
    cut = section.flat(cloud.points[section.contains(cloud.points)])
    dot = float(np.clip(6000 / max(len(cut), 1), 1.5, 16.0))
    axes.scatter(cut[:, 0], cut[:, 1], s=dot, color=colour, linewidths=0)
