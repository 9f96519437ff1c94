"""Pictures of point clouds: off-screen images, before/after sheets, and a window where there is a display."""

from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.offscreen import render_points
from pcdenoise.viewer.sheet import comparison_sheet, thumbnail
from pcdenoise.viewer.window import show

__all__ = ["Camera", "comparison_sheet", "render_points", "show", "thumbnail"]
