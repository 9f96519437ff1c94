"""An interactive window for each cloud, where there is a display, and a colour bar for all of them."""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import OutputError
from pcdenoise.io import replacing
from pcdenoise.viewer.camera import AXES, Camera
from pcdenoise.viewer.colouring import Colouring, Reference, colouring, colourings
from pcdenoise.viewer.figure import FAINT, figure_pixels, style
from pcdenoise.viewer.keys import KEYS, SCREENSHOT, ViewState
from pcdenoise.viewer.offscreen import fitting_point_size
from pcdenoise.viewer.section import Section
from pcdenoise.viewer.shading import CLAY, lit, rgb
from pcdenoise.viewer.sheet import check_comparable, draw_colour_bar, drawable

LIBRARIES = "on Debian or Ubuntu type: apt-get install libegl1 libgl1 libusb-1.0-0"
SCREEN, TALL, LOW = 1800, 700, 150  # pixels: of all views together, of a view, of the colour bar
LINKED = ("point_size", "point_color_option", "point_show_normal", "light_on")  # open3d's options, one for all views
CODES = {"SPACE": 32, "RIGHT": 262, "LEFT": 263, "DOWN": 264, "UP": 265}  # of GLFW; letters are their own
HINT = "space flip, M colours,\nX Y Z and arrows slice,\nG grab, H open3d's keys"
PAUSE = 0.01  # seconds between two looks at keyboard and mouse


def show(
    clouds: Mapping[str, PointCloud],
    *,
    reference: Reference | None = None,
    by: str | None = None,
    unit: str = "file units",
    limits: tuple[float, float] | None = None,
    section: Section | None = None,
    point_size: float | None = None,
    opened: Callable[[], None] = lambda: None,
) -> None:
    """Show clouds side by side with linked cameras, and return when one of the windows is closed.

    `KEYS` says what keys do; all keys of open3d's own window do there what they always do.

    Args:
        clouds: name -> cloud, from left to right, for instance before and after.
        reference: the true cloud or mesh, shown last.
        by: what to colour by at first, see `colouring`; None for the clouds' own colours, in the light of a lamp.
        unit: what the coordinates count, for the colour bar.
        limits: ends of the colour bar for `by`.
        section: the slice that is shown at first, from `Section.across`; by default none.
        point_size: diameter in pixels.
        opened: called when the windows are there.

    Raises:
        InputError: no cloud, one without a finite point, clouds in different units or places, or colours that these
            clouds do not have.
        OutputError: open3d cannot be loaded, or there is no display.
    """
    check_comparable(clouds, reference)
    if by is not None:
        colouring(by, clouds, reference, unit, limits)  # says what is wrong with it, before a window opens
    _check_display()
    views = Views(clouds, reference=reference, by=by, unit=unit, limits=limits, section=section, point_size=point_size)
    opened()
    try:
        while views.refresh():
            time.sleep(PAUSE)
    finally:
        views.close()


def shown_rows(
    points: NDArray[np.float64], state: ViewState, low: NDArray[Any], high: NDArray[Any]
) -> NDArray[np.bool_]:
    """(n,) which points are in the slice of a state, all of them where there is none.

    Args:
        points: (n, 3).
        state: says where the slice is.
        low, high: (3,) the corners of the box to which its position refers.
    """
    if state.axis is None:
        return np.ones(len(points), dtype=np.bool_)
    middle = low[state.axis] + state.position * (high - low)[state.axis]
    return np.asarray(np.abs(points[:, state.axis] - middle) <= state.thickness * (high - low).max() / 2)


class Views:
    """One open3d window for each cloud, and one for the colour bar, in one state."""

    def __init__(
        self,
        clouds: Mapping[str, PointCloud],
        *,
        reference: Reference | None = None,
        by: str | None = None,
        unit: str = "file units",
        limits: tuple[float, float] | None = None,
        section: Section | None = None,
        point_size: float | None = None,
        visible: bool = True,
    ) -> None:
        """Open them; arguments as in `show`, `visible=False` for windows that are drawn but not seen.

        Raises:
            OutputError: open3d cannot be loaded, or cannot open a window.
        """
        self._open3d = _open3d()
        self._clouds, self._reference, self._unit = dict(clouds), reference, unit
        shown = drawable(reference)
        self._shown = self._clouds | ({} if shown is None else {"reference": shown})
        self._ways = colourings(self._clouds, reference)
        first = 0 if by is None else 1 + self._ways.index(by)
        self.state = ViewState(len(self._shown), len(self._ways), colouring=first)
        self._drawn: ViewState | None = None
        self._grab, self._note = False, ""
        self._paint: dict[tuple[str, int], tuple[NDArray[Any], NDArray[Any]]] = {}
        self._scales: dict[int, Colouring] = {}
        if by is not None:
            self._scales[first] = colouring(by, self._clouds, reference, unit, limits)

        finite = [cloud.points[cloud.finite] for cloud in self._shown.values()]
        self._low = np.min([points.min(axis=0) for points in finite], axis=0)
        self._high = np.max([points.max(axis=0) for points in finite], axis=0)
        if section is not None:
            size, axis = self._high - self._low, int(section.axes[0].argmax())
            place = (section.centre - self._low)[axis] / (size[axis] or 1.0)
            thickness = section.thickness / (size.max() or 1.0)
            self.state = replace(self.state, axis=axis, position=float(place), thickness=float(thickness))
        wide = max(SCREEN // len(finite), 320)
        self._camera = Camera.facing(finite[-1], wide, TALL)
        if point_size is None:
            point_size = max(fitting_point_size(finite[-1][self._camera.sees(finite[-1])], self._camera) / 2, 2.0)

        self._windows = [
            self._opened(f"{i + 1} of {len(finite)} - pcdenoise", (wide, TALL), (i * wide, 40), visible=visible)
            for i in range(len(finite))
        ]
        self._bar = self._opened("colours - pcdenoise", (wide * len(finite), LOW), (0, TALL + 90), visible=visible)
        self._shapes = [self._open3d.geometry.PointCloud() for _ in self._windows]
        self._image: Any = None
        self._draw()
        for window in self._windows:
            option = window.get_render_option()
            option.light_on, option.point_size = False, point_size
        self._look(-self._camera.axes[2], -self._camera.axes[1])
        if self.state.axis is not None:
            self._face_slice()
        self._status = self._windows[0].get_view_status()
        self._options = self._options_of(self._windows[0])

    def refresh(self) -> bool:
        """Look at keyboard and mouse, and draw what has changed; false once a window was closed."""
        open_still = [window.poll_events() for window in (*self._windows, self._bar)]
        if not all(open_still):
            return False
        if self.state != self._drawn:
            turned = self._drawn is None or self.state.axis != self._drawn.axis
            self._draw()
            if turned and self.state.axis is not None:
                self._face_slice()
        self._link()
        if self._grab:
            self._grab = False
            self._note = f"saved {self.screenshot()}"
            self._draw_bar()
        return True

    def close(self) -> None:
        """Close all windows."""
        for window in (*self._windows, self._bar):
            window.destroy_window()

    def pictures(self) -> list[NDArray[np.uint8]]:
        """What the views show, and the colour bar last: (height, width, 3) each."""
        buffers = [window.capture_screen_float_buffer(True) for window in (*self._windows, self._bar)]
        return [np.rint(255 * np.asarray(buffer)).astype(np.uint8) for buffer in buffers]

    def screenshot(self) -> Path:
        """Write all views and the colour bar to the first free `pcdenoise_view_N.png` in the working folder."""
        from matplotlib.image import imsave

        *views, bar = self.pictures()
        tallest = max(view.shape[0] for view in views)
        views = [np.pad(view, ((0, tallest - len(view)), (0, 0), (0, 0)), constant_values=255) for view in views]
        whole = np.hstack(views)
        width = max(whole.shape[1], bar.shape[1])
        rows = [
            np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in (whole, bar)
        ]
        path = next(p for n in range(1, 10**6) if not (p := Path(f"pcdenoise_view_{n}.png")).exists())
        with replacing(path) as temporary:
            imsave(temporary, np.vstack(rows), format="png")
        return path

    def _opened(self, title: str, size: tuple[int, int], place: tuple[int, int], *, visible: bool) -> Any:
        window = self._open3d.visualization.VisualizerWithKeyCallback()
        with self._open3d.utility.VerbosityContextManager(self._open3d.utility.VerbosityLevel.Error):
            opened = window.create_window(title, *size, *place, visible)
        if not opened:
            raise OutputError("open3d cannot open a window; write a picture instead: --render FILE.png")
        for key in KEYS:
            window.register_key_callback(_code(key), lambda _window, key=key: self._press(key))
        window.register_key_callback(_code(SCREENSHOT), lambda _window: self._ask_for_screenshot())
        return window

    def _press(self, key: str) -> bool:
        # drawn in `refresh`: here another window's graphics may be current
        self.state, self._note = self.state.pressed(key), ""
        return False

    def _ask_for_screenshot(self) -> bool:
        self._grab = True
        return False

    def _draw(self) -> None:
        """Bring all windows to the state."""
        names, state = list(self._shown), self.state
        for view, (window, shape) in enumerate(zip(self._windows, self._shapes, strict=True)):
            points, colours = self._painted(names[state.cloud_in(view)], state.colouring)
            rows = shown_rows(points, state, self._low, self._high)
            # near the origin, where the graphics' single precision is fine
            shape.points = self._open3d.utility.Vector3dVector(points[rows] - self._camera.eye)
            shape.colors = self._open3d.utility.Vector3dVector(colours[rows])
            if self._drawn is None:
                window.add_geometry(shape)
            else:
                window.update_geometry(shape)
            window.update_renderer()
        self._drawn = state
        self._draw_bar()

    def _painted(self, name: str, way: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The points of a cloud that are drawn in one of the colourings, and their colours."""
        if (name, way) not in self._paint:
            cloud = self._shown[name]
            painted = self._scale(way)
            if painted is not None and name in painted.values:
                known = cloud.finite & np.isfinite(painted.values[name])
                self._paint[name, way] = cloud.points[known], painted.colours(name)[known]
            else:
                points, colors = cloud.points[cloud.finite], cloud.attributes.get("colors")
                paint = np.tile(CLAY, (len(points), 1)) if colors is None else rgb(colors)[cloud.finite]
                self._paint[name, way] = points, lit(points, points, paint, self._camera)
        return self._paint[name, way]

    def _scale(self, way: int) -> Colouring | None:
        if way == 0:
            return None
        if way not in self._scales:
            self._scales[way] = colouring(self._ways[way - 1], self._clouds, self._reference, self._unit)
        return self._scales[way]

    def _draw_bar(self) -> None:
        """Under each view the name of its cloud; the colour bar; the slice; the last screenshot."""
        from matplotlib.figure import Figure

        names = list(self._shown)
        with style():
            figure = Figure(figsize=(self._camera.width * len(names) / 100, LOW / 100), dpi=100, facecolor="white")
            write = partial(figure.text, va="center")
            for view in range(len(names)):
                name = names[self.state.cloud_in(view)]
                write((view + 0.5) / len(names), 0.86, name, fontsize=14, fontweight="bold", ha="center")
            painted = self._scale(self.state.colouring)
            if painted is not None:
                draw_colour_bar(figure.add_axes((0.3, 0.5, 0.4, 0.14)), painted)
            write(0.02, 0.3, f"{self._slice()}\n{self._note}".strip(), fontsize=11)
            write(0.98, 0.3, HINT, fontsize=11, color=FAINT, ha="right")
            pixels = figure_pixels(figure)
        if self._image is not None:
            self._bar.remove_geometry(self._image, False)
        self._image = self._open3d.geometry.Image(pixels)
        self._bar.add_geometry(self._image)
        self._bar.update_renderer()

    def _slice(self) -> str:
        """Where the slice is, in words."""
        if self.state.axis is None:
            return ""
        size = self._high - self._low
        place = self._low[self.state.axis] + self.state.position * size[self.state.axis]
        thickness = self.state.thickness * size.max()
        digits = max(0, 3 - int(np.floor(np.log10(size.max() or 1.0))))  # coordinates may be large, the cloud small
        at = f"{round(place, digits) + 0.0:.{digits}f}"
        return f"slice across {'xyz'[self.state.axis]} at {at},\n{thickness:.2g} thick, {self._unit}"

    def _face_slice(self) -> None:
        assert self.state.axis is not None
        self._look(AXES[self.state.axis], AXES[1 if self.state.axis == 2 else 2])

    def _look(self, front: NDArray[np.float64], up: NDArray[np.float64]) -> None:
        """Turn all views: `front` points to the eye."""
        for window in self._windows:
            view = window.get_view_control()
            view.set_front(front)
            view.set_up(up)
            window.update_renderer()

    def _link(self) -> None:
        """What happened to one camera, or to one window's options, happens to all."""
        for source in self._windows:
            if (status := source.get_view_status()) != self._status:
                self._status = status
                for window in self._windows:
                    if window is not source:
                        window.set_view_status(status)
                        window.update_renderer()
                break
        for source in self._windows:
            if (options := self._options_of(source)) != self._options:
                self._options = options
                for window in self._windows:
                    for name, value in zip(LINKED, options, strict=True):
                        setattr(window.get_render_option(), name, value)
                    window.update_renderer()
                break

    def _options_of(self, window: Any) -> tuple[Any, ...]:
        return tuple(getattr(window.get_render_option(), name) for name in LINKED)


def _code(key: str) -> int:
    return CODES[key] if key in CODES else ord(key)


def _check_display() -> None:
    """open3d's windows need a display, but where it cannot be opened they are drawn unseen, without an error."""
    if not sys.platform.startswith("linux") or os.environ.get("WAYLAND_DISPLAY"):
        return
    if not os.environ.get("DISPLAY"):
        raise OutputError("there is no display for a window; write a picture instead: --render FILE.png")
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise OutputError(f"there is no X11 library for a window ({error}); {LIBRARIES}") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if not display:
        name = os.environ["DISPLAY"]
        raise OutputError(f"the display {name} cannot be opened; write a picture instead: --render FILE.png")
    x11.XCloseDisplay(ctypes.c_void_p(display))


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise OutputError(f"open3d cannot be loaded ({error}); {LIBRARIES}") from error
    return open3d
