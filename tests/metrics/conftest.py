import numpy as np
import pytest
import trimesh

from pcdenoise.geometry.sampling import poisson_disk


@pytest.fixture(scope="session")
def ball():
    """A closed sphere of radius 1: vertices and 5,120 faces, which are 0.001 inside it at most."""
    mesh = trimesh.creation.icosphere(subdivisions=4)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


@pytest.fixture(scope="session")
def square():
    """An open square of side 2 in the plane z = 0, R = sqrt(2), its normals along z."""
    return np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]])


@pytest.fixture(scope="session")
def grid():
    """400 points of the square on a lattice, with R = sqrt(2) as it has."""
    axis = np.linspace(-1, 1, 20)
    return np.stack(np.meshgrid(axis, axis, [0.0]), axis=-1).reshape(-1, 3)


@pytest.fixture(scope="session")
def plate():
    """A closed plate 2 x 2 x 0.04, R about sqrt(2): vertices, faces, 4,000 points."""
    mesh = trimesh.creation.box([2, 2, 0.04])
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    return vertices, faces, poisson_disk(vertices, faces, 4000, np.random.default_rng(0))[0]
