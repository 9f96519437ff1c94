import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize, nnls

from pcdenoise.errors import InputError
from pcdenoise.geometry.triangles import closest_point_on_triangle, face_to_point, point_to_mesh

A, B, C = np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0]])


@pytest.fixture
def sphere():
    mesh = trimesh.creation.icosphere(subdivisions=3)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def brute_force(points, vertices, faces):
    """(n, f) squared distances."""
    closest = [closest_point_on_triangle(points, *vertices[face]) for face in faces]
    return np.stack([((points - where) ** 2).sum(axis=1) for where in closest], axis=1)


@pytest.mark.parametrize(
    ("point", "closest"),
    [
        ([1, 1, 5], [1, 1, 0]),  # above the inside
        ([1, 1, -5], [1, 1, 0]),
        ([1, -2, 1], [1, 0, 0]),  # beyond each edge
        ([-3, 2, 1], [0, 2, 0]),
        ([2 + 3, 1.5 + 4, 7], [2, 1.5, 0]),
        ([-1, -1, 2], [0, 0, 0]),  # beyond each corner
        ([9, -1, 0], [4, 0, 0]),
        ([-1, 9, 0], [0, 3, 0]),
        ([2, 0, 0], [2, 0, 0]),  # on it
    ],
)
def test_the_regions_of_a_triangle(point, closest):
    for corners in ([A, B, C], [B, C, A], [C, A, B], [A, C, B]):
        np.testing.assert_allclose(closest_point_on_triangle(np.array([point]), *corners)[0], closest, atol=1e-14)


def test_degenerate_triangles_are_segments_or_points():
    point = np.array([[1.0, 2, 0]])
    np.testing.assert_allclose(closest_point_on_triangle(point, A, B, B)[0], [1, 0, 0])
    np.testing.assert_allclose(closest_point_on_triangle(point, A, B, 0.5 * B)[0], [1, 0, 0])
    np.testing.assert_allclose(closest_point_on_triangle(point, B, A, 2 * B)[0], [1, 0, 0])
    np.testing.assert_allclose(closest_point_on_triangle(point, C, C, C)[0], C)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (4, 3), elements=st.floats(-10, 10, width=16)))
def test_no_point_of_the_triangle_is_nearer(corners):
    point, triangle = corners[0], corners[1:]
    closest = closest_point_on_triangle(point[None], *triangle)[0]

    def distance(weights):
        return ((np.array([1 - weights.sum(), *weights]) @ triangle - point) ** 2).sum()

    grid = [np.array([u, v]) for u in np.linspace(0, 1, 21) for v in np.linspace(0, 1 - u, 21)]
    start = min(grid, key=distance)
    inside = [{"type": "ineq", "fun": lambda w: 1 - w.sum()}]
    found = minimize(distance, start, bounds=[(0, 1)] * 2, constraints=inside).fun
    # SLSQP may end outside its constraints by a millionth
    assert ((closest - point) ** 2).sum() <= found + 1e-6 * (1 + found)
    # and it is a point of the triangle: a convex combination of the corners
    _, residual = nnls(np.vstack([triangle.T, np.ones(3)]), np.append(closest, 1.0))
    assert residual < 1e-7


def test_both_directions_agree_with_brute_force(sphere):
    points = np.random.default_rng(0).normal(size=(500, 3))
    expected = brute_force(points, *sphere)
    nearest = point_to_mesh(points, *sphere)
    np.testing.assert_allclose(nearest.squared, expected.min(axis=1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(expected[np.arange(500), nearest.face], expected.min(axis=1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(((points - nearest.closest) ** 2).sum(axis=1), nearest.squared, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(face_to_point(points, *sphere), expected.min(axis=0), rtol=1e-12, atol=1e-15)


def test_long_oblique_triangles_agree_with_brute_force():
    rng = np.random.default_rng(0)
    vertices, faces = rng.normal(size=(60, 3)), rng.integers(0, 60, size=(80, 3))  # some of them degenerate
    points = rng.normal(size=(700, 3))
    expected = brute_force(points, vertices, faces)
    np.testing.assert_allclose(point_to_mesh(points, vertices, faces).squared, expected.min(axis=1), atol=1e-14)
    np.testing.assert_allclose(face_to_point(points, vertices, faces), expected.min(axis=0), atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_tiny_clouds_and_meshes(n):
    rng = np.random.default_rng(n)
    points, vertices, faces = (
        rng.normal(size=(n, 3)),
        rng.normal(size=(n + 2, 3)),
        np.arange(3 * n).reshape(n, 3) % (n + 2),
    )
    expected = brute_force(points, vertices, faces)
    np.testing.assert_allclose(point_to_mesh(points, vertices, faces).squared, expected.min(axis=1), atol=1e-14)
    np.testing.assert_allclose(face_to_point(points, vertices, faces), expected.min(axis=0), atol=1e-14)


def test_edges_only():
    point, vertices, faces = np.array([[1.0, 1, 2]]), np.stack([A, B, C]), np.array([[0, 1, 2]])
    assert point_to_mesh(point, vertices, faces).squared[0] == pytest.approx(4)
    outlined = point_to_mesh(point, vertices, faces, np.array([True]))
    assert outlined.squared[0] == pytest.approx(5)
    assert face_to_point(point, vertices, faces, np.array([True]))[0] == pytest.approx(5)


def test_of_equally_near_faces_the_first_is_named(sphere):
    vertices, faces = sphere
    points = np.random.default_rng(0).normal(size=(50, 3))
    twice = point_to_mesh(points, vertices, np.concatenate([faces, faces]))
    assert (twice.face < len(faces)).all()


def test_far_origin_and_unit(sphere):
    vertices, faces = sphere
    points = np.random.default_rng(0).normal(size=(200, 3))
    shift = np.array([500_000.0, 5_400_000.0, 300.0])
    here, there = point_to_mesh(points, *sphere), point_to_mesh(1e3 * points + shift, 1e3 * vertices + shift, faces)
    np.testing.assert_allclose(np.sqrt(there.squared), 1e3 * np.sqrt(here.squared), atol=1e-8)
    np.testing.assert_allclose(there.closest, 1e3 * here.closest + shift, atol=1e-5)


@pytest.mark.parametrize(
    ("points", "faces", "message"),
    [
        (np.zeros((1, 3)), np.zeros((0, 3), dtype=int), "at least one triangle"),
        (np.zeros((1, 3)), np.array([[0, 1, 3]]), "there are 3"),
        (np.zeros((1, 3)), np.array([[0, 1, -1]]), "there are 3"),
        (np.full((1, 3), np.nan), np.array([[0, 1, 2]]), "finite"),
    ],
)
def test_what_is_no_mesh_is_an_error(points, faces, message):
    with pytest.raises(InputError, match=message):
        point_to_mesh(points, np.stack([A, B, C]), faces)


def test_no_points(sphere):
    assert point_to_mesh(np.zeros((0, 3)), *sphere).squared.shape == (0,)
    with pytest.raises(InputError, match="without points"):
        face_to_point(np.zeros((0, 3)), *sphere)
