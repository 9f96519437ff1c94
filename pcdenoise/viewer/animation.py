"""A moving picture of how points travel from noise to surface: the steps of a sampler, one after the other."""

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.io import replacing
from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.figure import AFTER, FAINT, check_picture, figure_pixels, plain_axes, style
from pcdenoise.viewer.offscreen import SHOWN, fitting_point_size, render_points
from pcdenoise.viewer.section import Section
from pcdenoise.viewer.sheet import marked

FRAMES = 60
SECONDS = 6.0  # of all frames together; the last one stays for HOLD more
HOLD = 2.0
SLOWEST = 1.0  # seconds a frame
PICTURE = (640, 480)
SIZE = (1120, 560)  # multiples of 16, as video wants them
NEARLY_WHITE = 245
SUFFIXES = (".gif", ".mp4")


class Trajectory:
    """Positions of a cloud before, after each step, and in the end; no more are kept than an animation shows.

    Of more than 60 steps every second, fourth, ... is kept, and the last; of more than 150,000 points a random part.

    Attributes:
        steps: the number of each kept step -> positions (n, 3); 0 is the noisy cloud, the last one the result.
    """

    def __init__(self, cloud: PointCloud) -> None:
        """From the cloud before the first step."""
        n = len(cloud)
        kept = np.arange(n) if n <= SHOWN else np.sort(np.random.default_rng(0).choice(n, SHOWN, replace=False))
        self._rows = kept
        self._colors = cloud.attributes.get("colors")
        self._last, self._stride = 0, 1
        self.steps: dict[int, NDArray[np.float64]] = {0: cloud.points[kept]}

    def add(self, points: NDArray[np.float64]) -> None:
        """The positions (n, 3) after one more step, or in the end."""
        if self._last % self._stride:
            del self.steps[self._last]
        self._last += 1
        self.steps[self._last] = points[self._rows].copy()
        if len(self.steps) > FRAMES:
            self._stride *= 2
            self.steps = {i: p for i, p in self.steps.items() if i % self._stride == 0 or i == self._last}

    @property
    def count(self) -> int:
        """The number of the last one."""
        return self._last

    def clouds(self) -> Iterator[tuple[int, PointCloud]]:
        """The number of each kept step, and the cloud then."""
        colors = {} if self._colors is None else {"colors": self._colors[self._rows]}
        for number, points in self.steps.items():
            yield number, PointCloud(points, colors)


def check_animation(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a place where no animation can be written, before any work is done for it.

    Raises:
        OutputError: a suffix that is neither `.gif` nor `.mp4`, the latter without imageio-ffmpeg, or what
            `check_picture` refuses.
    """
    check_picture(path, overwrite=overwrite, suffixes=SUFFIXES)
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise OutputError(f"{path} needs a package: pip install imageio-ffmpeg; or end the name in .gif")


def write_animation(trajectory: Trajectory, path: str | Path, *, title: str = "", unit: str = "file units") -> None:
    """Write a GIF, or an MP4 where imageio-ffmpeg is installed; it is replaced as a whole or not at all.

    On the left the cloud, lit by its local normals; on the right a thin section through it, with the noisy cloud in
    grey. Camera and section stay, and are those of the last step.

    Args:
        trajectory: what to show.
        path: ends in `.gif` or `.mp4`.
        title: the first line.
        unit: what the coordinates count, for the labels.

    Raises:
        InputError: there is no finite point.
        OutputError: the file cannot be written.
    """
    frames = list(_frames(trajectory, title, unit))
    seconds = min(SECONDS / len(frames), SLOWEST)
    with replacing(path) as temporary:
        if temporary.suffix.lower() == ".mp4":
            _write_mp4(frames, temporary, seconds)
        else:
            _write_gif(frames, temporary, seconds)


def _frames(trajectory: Trajectory, title: str, unit: str) -> Iterator[NDArray[np.uint8]]:
    from matplotlib.figure import Figure

    clouds = list(trajectory.clouds())
    first, last = clouds[0][1], clouds[-1][1]
    both = first.finite & last.finite
    if not both.any():
        raise InputError("a cloud without a finite point has no picture; check the input file")
    points = last.points[last.finite]
    camera = Camera.facing(points, *PICTURE)
    moved = float(np.median(np.linalg.norm(last.points[both] - first.points[both], axis=1)))
    section = Section.through(points, camera, moved)
    size = fitting_point_size(points[camera.sees(points)], camera)
    half = section.width / 2

    for number, cloud in clouds:
        with style():
            figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100, facecolor="white")
            figure.text(0.025, 0.94, title, fontsize=15, fontweight="bold", va="center")
            figure.text(
                0.975, 0.94, _caption(number, trajectory.count), fontsize=15, color=AFTER, va="center", ha="right"
            )
            axes = figure.add_axes((0.0, 0.02, PICTURE[0] / SIZE[0], PICTURE[1] / SIZE[1]))
            axes.imshow(render_points(cloud.points, marked(cloud, section), camera=camera, point_size=size))
            axes.set_axis_off()
            axes = figure.add_axes((0.62, 0.13, 0.36, 0.70))
            for shown, colour in ((first, "#c3cad2"), (cloud, AFTER)):
                cut = section.flat(shown.points[section.contains(shown.points)])
                axes.scatter(cut[:, 0], cut[:, 1], s=6, color=colour, linewidths=0)
            plain_axes(axes, "")
            axes.set(xlim=(-half, half), ylim=(-half, half))
            axes.set_aspect("equal", adjustable="box")
            axes.set_xlabel(f"section {section.thickness:.2g} thick (gold), {unit}", color=FAINT)
            axes.locator_params(nbins=5)
            yield figure_pixels(figure)


def _caption(number: int, count: int) -> str:
    return {0: "before", count: "after"}.get(number, f"step {number} of {count - 1}")


def _write_gif(frames: list[NDArray[np.uint8]], path: Path, seconds: float) -> None:
    from PIL import Image

    # one palette for all frames, lest colours flicker, in which white is white
    palette = Image.fromarray(np.vstack([frames[0], frames[-1]])).quantize(256)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[colours.min(axis=1) > NEARLY_WHITE] = 255
    palette.putpalette(colours.ravel().tolist())
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [1000 * seconds] * (len(frames) - 1) + [1000 * (seconds + HOLD)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _write_mp4(frames: list[NDArray[np.uint8]], path: Path, seconds: float) -> None:
    imageio_ffmpeg = importlib.import_module("imageio_ffmpeg")

    writer = imageio_ffmpeg.write_frames(str(path), SIZE, fps=1 / seconds)
    writer.send(None)
    for frame in frames + [frames[-1]] * round(HOLD / seconds):
        writer.send(np.ascontiguousarray(frame))
    writer.close()
