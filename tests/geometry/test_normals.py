import numpy as np
import pytest

from pcdenoise.errors import InputError
from pcdenoise.geometry.normals import plane_normals


def test_exact_on_a_plane_at_any_origin() -> None:
    rng = np.random.default_rng(0)
    u, v = np.array([1.0, 2, -1]), np.array([0.5, 0, 3])
    points = rng.uniform(-1, 1, (400, 2)) @ np.stack([u, v]) + [5e5, 4e6, 100]
    expected = np.cross(u, v) / np.linalg.norm(np.cross(u, v))
    np.testing.assert_allclose(np.abs(plane_normals(points) @ expected), 1, atol=1e-9)


def test_outwards_on_a_sphere(sphere: np.ndarray) -> None:
    cosine = np.einsum("ij,ij->i", plane_normals(sphere + 3), sphere)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 2


def test_blocks_do_not_matter(sphere: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plane_normals(sphere)
    monkeypatch.setattr("pcdenoise.geometry.normals._BLOCK", 1000)
    np.testing.assert_array_equal(plane_normals(sphere), whole)


def test_a_cloud_of_few_points_has_one_plane() -> None:
    corners = np.array([[0.0, 0, 1], [1, 0, 1], [0, 1, 1], [2, 2, 1]])
    np.testing.assert_allclose(np.abs(plane_normals(corners)), [[0, 0, 1]] * 4, atol=1e-12)


def test_refusals() -> None:
    with pytest.raises(InputError, match="empty"):
        plane_normals(np.zeros((0, 3)))
    with pytest.raises(InputError, match="finite"):
        plane_normals(np.full((20, 3), np.nan))


def test_normals_at_other_places_are_those_of_the_points_around_them(sphere):
    places = 1.01 * sphere[::50]
    cosine = np.einsum("ij,ij->i", plane_normals(sphere, queries=places), places)
    np.testing.assert_allclose(cosine, 1.01, atol=1e-3)
    np.testing.assert_allclose(plane_normals(sphere, queries=sphere), plane_normals(sphere), atol=1e-9)
