import numpy as np
import pytest
import trimesh

from pcdenoise.geometry.sampling import poisson_disk
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.reference import BAND, THICKNESS
from pcdenoise.metrics.regions import error_in, share_in


def block(size, shift=(0.0, 0.0, 0.0)):
    box = trimesh.creation.box(size)
    return np.asarray(box.vertices) + shift, np.asarray(box.faces)


def sampled(vertices, faces, n=4000):
    return poisson_disk(vertices, faces, n, np.random.default_rng(0))[0]


def test_a_thin_plate_is_edge_or_thin(plate):
    vertices, faces, points = plate
    regions = Comparison(points, points, (vertices, faces)).regions
    radius = np.linalg.norm([1, 1, 0.02])
    to_rim = 1 - np.abs(points[:, :2]).max(axis=1)
    np.testing.assert_array_equal(regions.edge, to_rim <= BAND * radius)
    np.testing.assert_array_equal(regions.thin, ~regions.edge)
    assert not regions.smooth.any()


def test_a_block_is_edge_or_smooth():
    vertices, faces = block([2, 2, 2])
    points = sampled(vertices, faces)
    regions = Comparison(points, points, (vertices, faces)).regions
    second_largest = np.sort(np.abs(points), axis=1)[:, 1]
    np.testing.assert_array_equal(regions.edge, 1 - second_largest <= BAND * 3**0.5)
    assert not regions.thin.any()


def test_the_walls_of_a_gap_are_thin_too():
    (a, faces), (b, _) = block([2, 2, 1], (0, 0, 0.52)), block([2, 2, 1], (0, 0, -0.52))
    vertices, faces = np.concatenate([a, b]), np.concatenate([faces, faces + len(a)])
    points = sampled(vertices, faces)
    regions = Comparison(points, points, (vertices, faces)).regions
    np.testing.assert_array_equal(regions.thin, (np.abs(points[:, 2]) < 0.03) & ~regions.edge)


@pytest.mark.parametrize("turned", [False, True])
def test_a_ball_is_smooth_whichever_way_its_faces_turn(turned, ball, sphere):
    vertices, faces = ball
    regions = Comparison(sphere, sphere, (vertices, faces[:, ::-1] if turned else faces)).regions
    assert regions.smooth.all()


def test_a_plate_turned_inside_out_and_one_without_sides(plate):
    vertices, faces, points = plate
    mixed = faces.copy()
    mixed[::2] = mixed[::2, ::-1]
    expected = Comparison(points, points, (vertices, faces)).regions
    for other in (faces[:, ::-1], mixed):
        found = Comparison(points, points, (vertices, other)).regions
        np.testing.assert_array_equal(found.thin, expected.thin)


def test_an_open_sheet_is_not_thin(square, grid):
    assert Comparison(grid, grid, square).regions.smooth.all()


def test_a_face_without_area_makes_no_edge_sharp(square, grid):
    vertices, faces = square
    with_sliver = np.concatenate([vertices, [[0.0, -1, 0]]]), np.concatenate([faces, [[1, 0, 4]]])
    assert Comparison(grid, grid, with_sliver).regions.smooth.all()


def test_the_limit_of_thickness():
    for depth, thin in ((0.9, True), (1.1, False)):
        vertices, faces = block([2, 2, depth * THICKNESS * 2**0.5])
        middle = np.array([[0.1, 0.2, vertices[:, 2].max()]])
        assert Comparison(middle, vertices, (vertices, faces)).regions.thin[0] == thin


def test_errors_apart(plate):
    vertices, faces, points = plate
    clean = Comparison(points, points, (vertices, faces))
    moved = points + np.where(clean.regions.edge, 0.0, 0.01)[:, None] * np.sign(points[:, 2:]) * [0, 0, 1]
    pair = Comparison(moved, points, (vertices, faces))
    radius = np.linalg.norm([1, 1, 0.02])
    assert error_in(pair, "thin") == pytest.approx((0.01 / radius) ** 2)
    assert error_in(pair, "edge") == pytest.approx(0, abs=1e-20)
    assert error_in(pair, "smooth") is None
    assert share_in(pair, "edge") + share_in(pair, "thin") == pytest.approx(1)
