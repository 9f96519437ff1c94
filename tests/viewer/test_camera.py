import numpy as np
import pytest

from pcdenoise.viewer import Camera


def test_fits_all_points_of_a_cloud_without_outliers_into_the_picture():
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 3)) * [3, 1, 2]
    camera = Camera.facing(points, 300, 200)
    assert camera.sees(points).all()
    pixels = camera.project(points)[:, :2]
    margins = [pixels.min(axis=0), [300, 200] - pixels.max(axis=0)]
    assert 0 < np.min(margins) < 20, "the cloud fills the picture"


def test_the_view_does_not_depend_on_unit_and_origin():
    points = np.random.default_rng(0).normal(size=(500, 3)) * [3, 1, 2]
    here = Camera.facing(points, 300, 200).project(points)
    there = 1000 * points + [500_000, 4_000_000, 300]
    np.testing.assert_allclose(Camera.facing(there, 300, 200).project(there), here, atol=1e-4)


def test_axes_are_a_right_handed_frame():
    points = np.random.default_rng(0).normal(size=(500, 3))
    axes = Camera.facing(points, 300, 200).axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)


def test_terrain_is_seen_from_above_with_z_up():
    ground = np.random.default_rng(0).uniform(0, 100, (5000, 2))
    points = np.column_stack([ground, 5 * np.sin(ground[:, 0] / 20)])
    camera = Camera.facing(points, 300, 200)
    assert camera.eye[2] > 20
    assert camera.axes[1, 2] < -0.5, "down in the picture is down in the world"


def test_a_depth_image_in_its_sensors_frame_is_seen_from_the_sensor():
    sides = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 2))
    camera = Camera.facing(np.column_stack([2 * sides, np.full(2000, 2.0)]), 300, 200)
    assert camera.axes[2, 2] > 0.9
    assert camera.axes[1, 1] > 0.9


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((4, 3), np.nan), np.ones((5, 3)), np.eye(3)[:2]])
def test_any_cloud_has_a_camera(points):
    camera = Camera.facing(points, 30, 20)
    assert np.isfinite(camera.eye).all()
    assert camera.distance > 0
