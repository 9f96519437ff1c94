import numpy as np
import pytest

from pcdenoise.viewer import Camera, render_points
from pcdenoise.viewer.offscreen import fitting_point_size

SIZE = (160, 120)
UTM = np.array([5e5, 5e6, 300])


def sphere(n=3000):
    """Evenly spread points: a golden spiral."""
    height = 1 - (2 * np.arange(n) + 1) / n
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - height**2)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), height])


def test_a_sphere_is_a_disc_in_the_middle_of_a_white_picture():
    picture = render_points(sphere(), size=SIZE)
    assert picture.shape == (120, 160, 3)
    assert picture.dtype == np.uint8
    inked = (picture < 250).any(axis=2)
    assert not inked[0].any()
    assert not inked[:, 0].any()
    rows, columns = np.nonzero(inked)
    assert rows.mean() == pytest.approx(60, abs=2)
    assert columns.mean() == pytest.approx(80, abs=2)
    diameter = np.ptp(rows)
    assert inked.sum() == pytest.approx(np.pi / 4 * diameter**2, rel=0.05), "closed, without holes"


def test_the_nearer_point_hides_the_farther_one():
    points = np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    camera = Camera(
        np.array([0.0, -5.0, 0.0]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.eye(3)[0], 5.0, 40, 40
    )
    colors = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8)
    for order in ([0, 1], [1, 0]):
        picture = render_points(points[order], colors[order], camera=camera, point_size=8, shaded=False)
        assert tuple(picture[20, 20]) == (255, 0, 0)
        assert not (picture == [0, 0, 255]).all(axis=2).any()


def test_the_order_of_the_rows_does_not_matter():
    points = sphere(500)
    shuffle = np.random.default_rng(1).permutation(500)
    colors = np.random.default_rng(2).integers(0, 256, (500, 3), dtype=np.uint8)
    camera = Camera.facing(points, *SIZE)
    first = render_points(points, colors, camera=camera, point_size=5)
    assert np.array_equal(first, render_points(points[shuffle], colors[shuffle], camera=camera, point_size=5))


@pytest.mark.parametrize(
    ("colors", "same"),
    [
        (np.uint8([[255, 51, 0]]), np.float32([[1, 0.2, 0]])),
        (np.uint16([[65535, 13107, 0]]), np.float32([[1, 0.2, 0]])),
        (np.uint16([[255, 51, 0]]), np.float32([[1, 0.2, 0]])),
        (np.float64([[255, 51, 0]]), np.float32([[1, 0.2, 0]])),
    ],
)
def test_colours_of_every_type_look_the_same(colors, same):
    points = sphere(300)
    pictures = [render_points(points, np.tile(c, (300, 1)), SIZE, shaded=False) for c in (colors, same)]
    assert np.array_equal(*pictures)
    assert (pictures[0] == [255, 51, 0]).all(axis=2).any()


def test_rows_with_nan_change_nothing():
    points = sphere(1000)
    gaps = np.insert(points, [0, 500, 1000], np.nan, axis=0)
    assert np.array_equal(render_points(gaps, size=SIZE), render_points(points, size=SIZE))


def test_utm_coordinates_look_like_local_ones():
    points = sphere(2000)
    local, utm = render_points(points, size=SIZE), render_points(points + UTM, size=SIZE)
    assert np.abs(local.astype(int) - utm).mean() < 1


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5])
def test_tiny_clouds_have_a_picture(n):
    picture = render_points(sphere(n) if n else np.zeros((0, 3)), size=SIZE)
    assert (picture < 250).any() == (n > 0)


def test_noise_is_seen_as_roughness():
    points = sphere()
    camera = Camera.facing(points, *SIZE)
    noisy = points + 0.03 * np.random.default_rng(1).normal(size=points.shape)
    noisy, clean = (render_points(p, camera=camera, point_size=6) for p in (noisy, points))
    rough, smooth = (picture[40:80, 60:100].astype(float) for picture in (noisy, clean))
    assert np.abs(np.diff(rough, axis=1)).mean() > 2 * np.abs(np.diff(smooth, axis=1)).mean()


def test_denser_clouds_get_smaller_points():
    coarse, fine = (
        fitting_point_size(points, Camera.facing(points, *SIZE)) for points in (sphere(1000), sphere(16_000))
    )
    assert 2 < coarse / fine < 5
