import sys
from unittest.mock import MagicMock

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.viewer import show

CLOUD = PointCloud(np.random.default_rng(0).normal(size=(20, 3)))


def test_without_a_display_the_remedy_is_a_picture(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(OutputError, match=r"no display .* --render FILE\.png"):
        show(CLOUD)


def test_without_open3ds_libraries_the_remedy_is_one_line(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(OutputError, match=r"apt-get install libegl1 libgl1 libusb-1\.0-0$"):
        show(CLOUD)


def test_nothing_to_show():
    with pytest.raises(InputError, match="finite point"):
        show()
    with pytest.raises(InputError, match="finite point"):
        show(PointCloud(np.full((2, 3), np.nan)))


class HiddenWindow:
    """Takes what open3d's window takes, and shows nothing."""

    def __init__(self):
        self.shapes = []

    def create_window(self, **_options):
        return True

    def add_geometry(self, shape):
        self.shapes.append(np.asarray(shape.points))

    def get_render_option(self):
        return MagicMock()

    get_view_control = run = destroy_window = get_render_option


def test_clouds_stand_side_by_side(monkeypatch):
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    window = HiddenWindow()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(open3d.visualization, "Visualizer", lambda: window)
    show(CLOUD, CLOUD)
    first, second = window.shapes
    step = second - first
    np.testing.assert_allclose(step, np.broadcast_to(step[0], step.shape), atol=1e-9)
    assert np.linalg.norm(step[0]) > np.ptp(first @ step[0]) / np.linalg.norm(step[0]), "they do not overlap"
