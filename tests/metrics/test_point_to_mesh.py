import numpy as np
import pytest
import trimesh

from pcdenoise.errors import InputError
from pcdenoise.metrics.point_to_mesh import point_to_mesh_distance

# a square of side 2 in the plane z = 0: frame centre 0, scale sqrt(2)
SQUARE = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]])


def test_a_point_above_a_square():
    distance = point_to_mesh_distance(np.array([[0.5, 0.0, 1.0]]), *SQUARE)
    # 1 from the point and from the triangle under it; the other one begins at the diagonal, sqrt(1/2 * 1/2^2) beside
    assert distance.point_to_face == pytest.approx(1 / 2)
    assert distance.face_to_point == pytest.approx((1 + 1 + 0.125) / 2 / 2)
    assert distance.total == distance.point_to_face + distance.face_to_point


def test_family_b_measures_small_triangles_to_their_edges():
    point = np.array([[0.5, -0.25, 0.0]])
    # in the frame each triangle has area 1
    assert point_to_mesh_distance(point, *SQUARE, min_triangle_area=0.99).point_to_face == 0
    outlined = point_to_mesh_distance(point, *SQUARE, min_triangle_area=1.01)
    assert outlined.point_to_face == pytest.approx(0.5**2 / 2)  # to the side x = 1
    assert outlined.face_to_point == pytest.approx((0.5**2 + 0.75**2 / 2) / 2 / 2)


def test_points_off_a_fine_sphere_are_off_by_their_height():
    mesh = trimesh.creation.icosphere(subdivisions=5)
    directions = np.random.default_rng(0).normal(size=(3_000, 3))
    points = 1.05 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    distance = point_to_mesh_distance(points, mesh.vertices, mesh.faces)
    assert distance.point_to_face == pytest.approx(0.05**2, rel=0.02)
    # the default of newer PyTorch3D versions takes all 20,480 triangles for edges, which are farther away
    assert point_to_mesh_distance(points, mesh.vertices, mesh.faces, 5e-3).point_to_face > distance.point_to_face


def test_knows_neither_unit_nor_origin():
    mesh = trimesh.creation.icosphere(subdivisions=2)
    points = np.random.default_rng(0).normal(size=(300, 3))
    shift = np.array([500_000.0, 5_400_000.0, 300.0])
    here = point_to_mesh_distance(points, mesh.vertices, mesh.faces, 5e-3)
    there = point_to_mesh_distance(1e3 * points + shift, 1e3 * mesh.vertices + shift, mesh.faces, 5e-3)
    assert there.point_to_face == pytest.approx(here.point_to_face, rel=1e-6)
    assert there.face_to_point == pytest.approx(here.face_to_point, rel=1e-6)


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.array([[0.0, np.nan, 0]])])
def test_nothing_or_nan_is_an_error(bad):
    with pytest.raises(InputError, match="the result is empty"):
        point_to_mesh_distance(bad, *SQUARE)


def test_a_negative_area_is_an_error():
    with pytest.raises(InputError, match="min_triangle_area"):
        point_to_mesh_distance(np.zeros((1, 3)), *SQUARE, min_triangle_area=-1.0)
