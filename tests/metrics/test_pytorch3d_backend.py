import importlib.util

import numpy as np
import pytest
import trimesh
from pytorch3d_definitions import chamfer, point_mesh_face

from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.metrics import pytorch3d_backend
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.point_to_mesh import point_to_mesh_distance
from pcdenoise.metrics.table import measure

FAMILIES = {"A": 0.0, "B": 5e-3}


@pytest.fixture(scope="module")
def mesh():
    """A coarse sphere, whose triangles have about 0.06 R^2, and eight flakes of 0.004 R^2 that family B opens."""
    sphere = trimesh.creation.icosphere(subdivisions=1)
    flakes = 0.12 * np.eye(3)[None] + np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])[:, None]
    vertices = np.concatenate([sphere.vertices, 0.9 * flakes.reshape(-1, 3)])
    return vertices, np.concatenate([sphere.faces, len(sphere.vertices) + np.arange(24).reshape(8, 3)])


@pytest.fixture(scope="module")
def points(mesh):
    """All over the place, and one beside the middle of each flake."""
    vertices, faces = mesh
    beside = vertices[faces[-8:]].mean(axis=1) + 0.05
    return np.concatenate([np.random.default_rng(0).uniform(-1.5, 1.5, (600, 3)), beside])


@pytest.mark.parametrize("family", FAMILIES)
def test_p2m_is_what_pytorch3d_documents(family, mesh, points):
    vertices, faces = mesh
    frame = Frame.unit_sphere(vertices)
    expected = point_mesh_face(frame.to_local(points), frame.to_local(vertices), faces, FAMILIES[family])
    found = point_to_mesh_distance(points, vertices, faces, FAMILIES[family])
    assert (found.point_to_face, found.face_to_point) == pytest.approx(expected, rel=1e-6)


def test_the_families_differ_on_this_mesh(mesh, points):
    a, b = (point_to_mesh_distance(points, *mesh, area) for area in FAMILIES.values())
    assert a.point_to_face < b.point_to_face
    assert a.face_to_point < b.face_to_point


@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_fine_and_open_mesh_with_points_near_it(family):
    sphere = trimesh.creation.icosphere(subdivisions=3)
    faces = np.asarray(sphere.faces)[sphere.triangles_center[:, 2] > -0.3]
    points = np.random.default_rng(0).normal(size=(300, 3))
    points *= np.random.default_rng(1).uniform(0.98, 1.02, (300, 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    vertices = np.asarray(sphere.vertices)
    found = point_to_mesh_distance(points, vertices, faces, FAMILIES[family])
    frame = Frame.unit_sphere(vertices)
    expected = point_mesh_face(frame.to_local(points), frame.to_local(vertices), faces, FAMILIES[family])
    assert (found.point_to_face, found.face_to_point) == pytest.approx(expected, rel=1e-6)


def test_chamfer_is_what_pytorch3d_documents(points):
    clean = 3 + np.random.default_rng(1).normal(size=(500, 3))
    frame = Frame.unit_sphere(clean)
    expected = chamfer(frame.to_local(points), frame.to_local(clean))
    assert chamfer_distance(points, clean) == pytest.approx(expected, rel=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("pytorch3d") is not None, reason="pytorch3d is installed")
def test_asked_for_and_not_there(mesh, points):
    with pytest.raises(UsageError, match=r"pip install .*pytorch3d"):
        pytorch3d_backend.chamfer_distance(points, points)
    with pytest.raises(UsageError, match=r"pip install .*pytorch3d"):
        pytorch3d_backend.point_to_mesh_distance(points, *mesh)


class TestWhereInstalled:
    """pytorch3d computes in float32: the clouds are far from each other, lest rounding shows in the sixth digit."""

    @pytest.fixture(autouse=True)
    def library(self):
        return pytest.importorskip("pytorch3d")

    def test_chamfer(self, points):
        clean = 3 + np.random.default_rng(1).normal(size=(500, 3))
        assert pytorch3d_backend.chamfer_distance(points, clean) == pytest.approx(
            chamfer_distance(points, clean), rel=1e-6
        )

    @pytest.mark.parametrize("family", FAMILIES)
    def test_p2m(self, family, mesh, points):
        found = pytorch3d_backend.point_to_mesh_distance(points, *mesh, FAMILIES[family])
        exact = point_to_mesh_distance(points, *mesh, FAMILIES[family])
        assert found.point_to_face == pytest.approx(exact.point_to_face, rel=1e-6)
        assert found.face_to_point == pytest.approx(exact.face_to_point, rel=1e-6)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_the_two_parts_are_the_loss(self, family, mesh, points):
        import torch
        from pytorch3d.loss import point_mesh_face_distance
        from pytorch3d.structures import Meshes, Pointclouds

        frame = Frame.unit_sphere(mesh[0])
        cloud = Pointclouds([torch.from_numpy(frame.to_local(points)).float()])
        meshes = Meshes([torch.from_numpy(frame.to_local(mesh[0])).float()], [torch.from_numpy(mesh[1]).long()])
        expected = float(point_mesh_face_distance(meshes, cloud, min_triangle_area=FAMILIES[family]))
        found = pytorch3d_backend.point_to_mesh_distance(points, *mesh, FAMILIES[family])
        assert found.total == pytest.approx(expected, rel=1e-6)

    def test_names_and_units_are_those_of_the_table(self, mesh, points):
        pair = Comparison(points, points[::2], mesh)
        published, own = pytorch3d_backend.published(pair), measure(pair)
        assert {name: own[name] for name in published} == pytest.approx(published, rel=1e-6)
