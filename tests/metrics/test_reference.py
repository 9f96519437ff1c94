import numpy as np
import pytest
import trimesh

from pcdenoise.errors import InputError
from pcdenoise.metrics.reference import CloudSurface, MeshSurface


def inside_all_planes(points, vertices, faces):
    """Whether points are in a convex polyhedron whose faces turn outwards."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    heights = np.einsum("nfi,fi->nf", points[:, None] - a, np.cross(b - a, c - a))
    return (heights < 0).all(axis=1)


class TestMesh:
    def test_sides_of_a_needle(self):
        """Around acute edges and corners the face that happens to be nearest tells the wrong side."""
        needle = trimesh.Trimesh([[-1, 0, 0], [1, 0, 0], [1, 0.2, 0.05], [1, -0.1, 0.2]], np.arange(4)).convex_hull
        vertices, faces = np.asarray(needle.vertices), np.asarray(needle.faces)
        points = np.random.default_rng(0).normal(size=(4000, 3)) * [1, 0.2, 0.2]
        points = np.concatenate([points, 1.1 * points * [1, 0.1, 0.1] + [0.9, 0.02, 0.04]])
        inside = inside_all_planes(points, vertices, faces)
        assert inside.sum() > 50
        for mesh in ((vertices, faces), (vertices, faces[:, ::-1])):  # turned inside out, too
            surface = MeshSurface(*mesh)
            assert surface.oriented
            np.testing.assert_array_equal(surface.nearest(points).signed < 0, inside)

    def test_face_normals_alone_would_not_do(self):
        """The test above can fail: with the normal of the nearest face it does."""
        from pcdenoise.geometry.triangles import point_to_mesh

        needle = trimesh.Trimesh([[-1, 0, 0], [1, 0, 0], [1, 0.2, 0.05], [1, -0.1, 0.2]], np.arange(4)).convex_hull
        vertices, faces = np.asarray(needle.vertices), np.asarray(needle.faces)
        points = np.random.default_rng(0).normal(size=(4000, 3)) * [1, 0.2, 0.2]
        nearest = point_to_mesh(points, vertices, faces)
        height = np.einsum("ni,ni->n", points - nearest.closest, needle.face_normals[nearest.face])
        assert ((height < 0) != inside_all_planes(points, vertices, faces)).any()

    def test_distances_count_in_radii_of_the_mesh(self, ball):
        vertices, faces = ball
        points = np.random.default_rng(0).normal(size=(200, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        shift = np.array([5e5, 5e6, 300])
        nearest = MeshSurface(20 * vertices + shift, faces).nearest(20 * 1.1 * points + shift)
        np.testing.assert_allclose(nearest.signed, 0.1, atol=2e-3)
        np.testing.assert_allclose(np.einsum("ni,ni->n", nearest.normal, points), 1, atol=2e-3)
        np.testing.assert_allclose(np.linalg.norm(nearest.foot, axis=1), 1, atol=2e-3)

    def test_an_open_mesh_has_the_sides_its_faces_say(self, square):
        vertices, faces = square
        above = np.array([[0.3, 0.1, 0.5], [0.3, 0.1, -0.5]])
        np.testing.assert_allclose(MeshSurface(vertices, faces).nearest(above).signed, [0.5 / 2**0.5, -0.5 / 2**0.5])
        np.testing.assert_allclose(
            MeshSurface(vertices, faces[:, ::-1]).nearest(above).signed, [-0.5 / 2**0.5, 0.5 / 2**0.5]
        )

    def test_triangles_of_their_own_are_one_surface(self, ball):
        """As STL stores them."""
        vertices, faces = ball
        soup = MeshSurface(vertices[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3))
        points = 1.3 * np.random.default_rng(0).normal(size=(500, 3))
        np.testing.assert_array_equal(soup.nearest(points).signed, MeshSurface(*ball).nearest(points).signed)

    def test_faces_that_disagree_have_no_side(self, ball):
        vertices, faces = ball
        faces = faces.copy()
        faces[::2] = faces[::2, ::-1]
        assert not MeshSurface(vertices, faces).oriented

    def test_degenerate_faces_do_no_harm(self, square):
        vertices, faces = square
        with_slivers = np.concatenate([[[0, 0, 1], [1, 1, 1]], faces])
        points = np.random.default_rng(0).normal(size=(200, 3))
        nearest, expected = MeshSurface(vertices, with_slivers).nearest(points), MeshSurface(*square).nearest(points)
        np.testing.assert_allclose(nearest.signed, expected.signed)

    @pytest.mark.parametrize("faces", [np.zeros((0, 3), dtype=int), np.array([[0, 1, 9]])])
    def test_what_is_no_mesh(self, square, faces):
        with pytest.raises(InputError):
            MeshSurface(square[0], faces)


class TestCloud:
    def test_tangent_planes(self, grid):
        normals = np.tile([0.0, 0, 7], (len(grid), 1))
        surface = CloudSurface(grid, normals)
        assert surface.oriented
        nearest = surface.nearest(np.array([[0.33, 0.21, 0.5], [0.33, 0.21, -0.5]]))
        np.testing.assert_allclose(nearest.signed, [0.5 / 2**0.5, -0.5 / 2**0.5])
        np.testing.assert_allclose(nearest.foot * 2**0.5, [[0.33, 0.21, 0]] * 2, atol=1e-12)

    @pytest.mark.parametrize("useless", [None, np.nan, 0.0])
    def test_without_usable_normals_there_are_planes_but_no_sides(self, useless, grid):
        normals = None if useless is None else np.full(grid.shape, useless)
        surface = CloudSurface(grid, normals)
        assert not surface.oriented
        nearest = surface.nearest(np.array([[0.33, 0.21, 0.5]]))
        assert abs(nearest.signed[0]) == pytest.approx(0.5 / 2**0.5)
        np.testing.assert_allclose(np.abs(nearest.normal), [[0, 0, 1]], atol=1e-9)
