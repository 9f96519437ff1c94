"""Pictures of point clouds: off-screen images, before/after sheets, and a window where there is a display."""

from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.offscreen import render_points
from pcdenoise.viewer.sheet import before_after_sheet
from pcdenoise.viewer.window import show

__all__ = ["Camera", "before_after_sheet", "render_points", "show"]
