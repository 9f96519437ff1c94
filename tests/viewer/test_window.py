import sys

import numpy as np
import pytest
from matplotlib.image import imread

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.viewer import show
from pcdenoise.viewer.keys import MEANINGS, ViewState
from pcdenoise.viewer.section import Section
from pcdenoise.viewer.window import CODES, Views, shown_rows

CLOUD = PointCloud(np.random.default_rng(0).normal(size=(20, 3)))


def test_without_a_display_the_remedy_is_a_picture(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(OutputError, match=r"no display .* --render FILE\.png"):
        show({"a": CLOUD})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 is that of Linux")
def test_a_display_that_cannot_be_opened_is_named(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4321")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(OutputError, match=r"display :4321 .* --render FILE\.png|X11 library .* apt-get install"):
        show({"a": CLOUD})


def test_without_open3ds_libraries_the_remedy_is_one_line(monkeypatch):
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(OutputError, match=r"apt-get install libegl1 libgl1 libusb-1\.0-0$"):
        show({"a": CLOUD})


def test_nothing_to_show():
    with pytest.raises(InputError, match="no cloud to show"):
        show({})
    with pytest.raises(InputError, match="a has no finite point"):
        show({"a": PointCloud(np.full((2, 3), np.nan))})
    with pytest.raises(InputError, match=r"b is about 1,000 times as large as a"):
        show({"a": CLOUD, "b": PointCloud(1000 * CLOUD.points)})
    with pytest.raises(InputError, match="no attribute 'x'"):
        show({"a": CLOUD}, by="x")


def test_a_slice_holds_the_points_at_its_place():
    points = np.stack([np.arange(11.0), np.zeros(11), np.zeros(11)], axis=1)
    low, high = np.array([0.0, -20, 0]), np.array([10.0, 20, 0])
    state = ViewState(views=1, colourings=0, axis=0, position=0.5, thickness=0.05)  # of the longest side, 40
    assert np.flatnonzero(shown_rows(points, state, low, high)).tolist() == [4, 5, 6]
    whole = ViewState(views=1, colourings=0)
    assert shown_rows(points, whole, low, high).all()


@pytest.fixture
def views(sphere, monkeypatch, tmp_path):
    """Hidden windows on a rough sphere, a smooth one, and the reference, far from the origin."""
    pytest.importorskip("open3d", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    place = np.array([5e5, 5e6, 300])
    rough = sphere * (1 + 0.05 * np.random.default_rng(0).standard_normal((6000, 1)))
    rough[:10] = np.nan
    views = Views(
        {"before": PointCloud(rough + place), "after": PointCloud(sphere + place)},
        reference=PointCloud(sphere + place),
        unit="mm",
        visible=False,
    )
    yield views
    views.close()


def pressed(views, *keys):
    """What the three views show after these keys."""
    for key in keys:
        views._press(key)
    assert views.refresh()
    return [picture.astype(int) for picture in views.pictures()]


def inked(picture):
    return (picture < 250).any(axis=2).mean()


def size(picture):
    """Width and height of what is drawn."""
    return np.ptp(np.nonzero((picture < 250).any(axis=2)), axis=1)


def test_keys_change_what_all_views_show(views):
    before, after, reference, bar = pressed(views)
    assert before.shape == after.shape == reference.shape == (700, 600, 3)
    assert 0.15 < inked(after) < 0.6, "the sphere is in the picture"
    assert np.abs(after - reference).max() <= 1, "linked cameras: one cloud, one picture"
    assert np.abs(before - after).mean() > 1

    flipped = pressed(views, "SPACE")
    assert np.abs(flipped[0] - after).max() <= 1
    assert np.abs(flipped[2] - before).max() <= 1
    pressed(views, "SPACE", "SPACE")

    rough, smooth, plain, with_scale = pressed(views, "M")
    assert np.abs(plain - reference).max() <= 1, "the reference has no error and keeps its colours"
    shown = smooth[(smooth < 250).any(axis=2)]
    assert np.ptp(shown, axis=0).max() < 30, "no error is one colour"
    assert np.ptp(rough[(rough < 250).any(axis=2)], axis=0).max() > 100
    assert inked(with_scale) > inked(bar) + 0.02, "a colour bar"

    sliced = pressed(views, "X")
    place = float(views._slice().split()[4].rstrip(","))
    assert place == pytest.approx(5e5, abs=0.05), "to a part of the cloud's extent, far from the origin too"
    assert inked(sliced[1]) < 0.5 * inked(smooth)
    near, far = (size(pressed(views, *[key] * n)[1]) for key, n in (("RIGHT", 15), ("LEFT", 30)))
    # at 0.6 radii from the middle circles have 0.8 of the radius; seen from d they look d / (d -+ 0.6) as large
    np.testing.assert_allclose(2 / (1 / near + 1 / far) / size(sliced[1]), 0.8, atol=0.04)


def test_cameras_and_point_sizes_are_linked(views):
    _, after, _, _ = pressed(views)
    views._windows[0].get_view_control().rotate(200, 100)
    views._windows[1].get_render_option().point_size = 12
    _, turned, reference, _ = pressed(views)
    assert np.abs(turned - after).mean() > 1
    assert np.abs(turned - reference).max() <= 1
    assert {window.get_view_status() for window in views._windows} == {views._status}
    assert [window.get_render_option().point_size for window in views._windows] == [12, 12, 12]


def test_a_screenshot_takes_the_first_free_name(views, tmp_path):
    views._ask_for_screenshot()
    assert views.refresh()
    assert views.screenshot().name == "pcdenoise_view_2.png"
    assert imread(tmp_path / "pcdenoise_view_1.png").shape[:2] == (850, 1800)


def test_every_window_listens_to_every_key(monkeypatch):
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    listening = []

    class Listening:
        def __init__(self, real=open3d.visualization.VisualizerWithKeyCallback):
            self._window = real()

        def register_key_callback(self, code, callback):
            listening.append(code)
            self._window.register_key_callback(code, callback)

        def __getattr__(self, name):
            return getattr(self._window, name)

    monkeypatch.setattr(open3d.visualization, "VisualizerWithKeyCallback", Listening)
    Views({"a": CLOUD}, visible=False).close()
    codes = {CODES[key] if key in CODES else ord(key) for key in MEANINGS}
    assert sorted(listening) == sorted([*codes, *codes]), "the view and the colour bar"


def test_a_slice_and_colours_may_be_given_at_the_start(sphere):
    pytest.importorskip("open3d", exc_type=ImportError)
    cloud = PointCloud(sphere, {"height": sphere[:, 2], "side": sphere[:, 0]})
    section = Section.across(sphere, 1, 0.5, 0.2)
    views = Views({"a": cloud}, by="side", limits=(0, 1), section=section, visible=False)
    views.close()
    state = views.state
    assert (state.colouring, state.axis) == (2, 1)
    assert state.position == pytest.approx(0.75, abs=0.01)
    assert state.thickness == pytest.approx(0.1, abs=0.01)
    assert views._scale(2).high == 1
