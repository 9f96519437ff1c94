"""An interactive window, where there is a display."""

import os
import sys
from typing import Any

import numpy as np

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.offscreen import fitting_point_size
from pcdenoise.viewer.shading import CLAY, lit, rgb

LIBRARIES = "on Debian or Ubuntu type: apt-get install libegl1 libgl1 libusb-1.0-0"
GAP = 1.1  # from one cloud to the next, in widths of the last


def show(*clouds: PointCloud, title: str = "pcdenoise") -> None:
    """Show clouds side by side in one open3d window, and return when it is closed.

    Args:
        clouds: from left to right, for instance before and after.
        title: of the window.

    Raises:
        InputError: no cloud, or one without a finite point.
        OutputError: open3d cannot be loaded, or there is no display.
    """
    if not clouds or not all(cloud.finite.any() for cloud in clouds):
        raise InputError("there is no finite point to show; check the input file")
    open3d = _open3d()
    camera = Camera.facing(clouds[-1].points, 1600, 900)
    seen = clouds[-1].points[camera.sees(clouds[-1].points)]
    step = camera.axes[0] * GAP * np.ptp(seen @ camera.axes[0])
    shapes = []
    for place, cloud in enumerate(clouds):
        points = cloud.points[cloud.finite]
        colors = cloud.attributes.get("colors")
        paint = np.tile(CLAY, (len(points), 1)) if colors is None else rgb(colors)[cloud.finite]
        shape = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points + place * step - camera.eye))
        shape.colors = open3d.utility.Vector3dVector(lit(points, points, paint, camera))
        shapes.append(shape)

    window = open3d.visualization.Visualizer()
    if not window.create_window(window_name=title, width=1600, height=900):
        raise OutputError("open3d cannot open a window; write a picture instead: --render FILE.png")
    for shape in shapes:
        window.add_geometry(shape)
    window.get_render_option().light_on = False
    window.get_render_option().point_size = max(fitting_point_size(seen, camera) / 2, 2.0)
    view = window.get_view_control()
    view.set_front(-camera.axes[2])
    view.set_up(-camera.axes[1])
    view.set_zoom(0.5)
    window.run()
    window.destroy_window()


def _open3d() -> Any:
    """The open3d module, once it is sure that it can open a window."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise OutputError("there is no display for a window; write a picture instead: --render FILE.png")
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise OutputError(f"open3d cannot be loaded ({error}); {LIBRARIES}") from error
    return open3d
