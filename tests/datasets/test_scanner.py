"""The simulated scanner on shapes whose visible part, density and noise are known."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pcdenoise.datasets.lofts import hull
from pcdenoise.datasets.noise_models import Scanner
from pcdenoise.datasets.noise_models.scanner import visible
from pcdenoise.errors import InputError, UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.sampling import poisson_disk

D = 3.0


@pytest.fixture(scope="module")
def ball() -> tuple[np.ndarray, np.ndarray]:
    """A sphere as a mesh of 20,480 faces."""
    import trimesh

    mesh = trimesh.creation.icosphere(5)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


@pytest.fixture(scope="module")
def slab() -> tuple[np.ndarray, np.ndarray]:
    """A flat box around the origin, in the unit sphere."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * [0.7, 0.7, 0.05]
    return hull(corners / np.linalg.norm(corners[0]))


def place_of(points: np.ndarray) -> np.ndarray:
    """Where the scanner stood that sees this part of a unit sphere, d cos(angle) >= 1."""
    middle = points.mean(axis=0)
    return D * middle / np.linalg.norm(middle)


def test_rays_see_the_cap_of_a_sphere_and_no_more(ball) -> None:
    points, rows = Scanner(0.0, D, rays=300, grazing=89.9).apply(ball[0], np.random.default_rng(0), mesh=ball)
    assert (rows == -1).all()
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-3)
    place = place_of(points)
    height = points @ place / D
    assert height.min() == pytest.approx(1 / D, abs=0.02)
    # each ray stands for an area of r^2 / cos(incidence) times its solid angle: together the cap of 2 pi (1 - 1/d)
    ray = points - place
    length = np.linalg.norm(ray, axis=1)
    cosine = -np.einsum("ij,ij->i", ray / length[:, None], points)
    solid = (2 * np.arcsin(1 / D) / 299) ** 2
    inner = cosine > 0.2  # beyond, the facets of the mesh tell
    # the cap where the incidence is less: 1 - h with r^2 = 1 + d^2 - 2 d h and cos = (d h - 1) / r
    h = np.linspace(1 / D, 1, 100_001)
    area = 2 * np.pi * np.ptp(h[(D * h - 1) / np.sqrt(1 + D**2 - 2 * D * h) > 0.2])
    # towards its poles a grid in azimuth and elevation is denser, by 1 / cos(elevation)
    assert 0.995 * area < solid * (length**2 / cosine)[inner].sum() < area / np.cos(np.arcsin(1 / D))


@pytest.mark.parametrize("with_mesh", [True, False])
def test_range_noise_acts_along_the_ray_and_grows(slab, with_mesh: bool) -> None:
    level = 0.002
    vertices, faces = slab
    points, normals = poisson_disk(vertices, faces, 30_000, np.random.default_rng(0))
    mesh = slab if with_mesh else None
    noisy, rows = Scanner(level, D, rays=300).apply(points, np.random.default_rng(3), normals, mesh)
    clean, clean_rows = Scanner(0.0, D, rays=300).apply(points, np.random.default_rng(3), normals, mesh)
    np.testing.assert_array_equal(rows, clean_rows)
    frame = Frame.unit_sphere(points)
    noisy, clean, vertices = (frame.to_local(part) for part in (noisy, clean, vertices))
    # the moves of all points meet in the scanner's place: least squares over their lines
    move = noisy - clean
    ray = move / np.linalg.norm(move, axis=1, keepdims=True)
    across = np.eye(3) - np.einsum("ni,nj->nij", ray, ray)
    place = np.linalg.solve(across.sum(axis=0), np.einsum("nij,nj->i", across, clean))
    assert np.linalg.norm(place) == pytest.approx(D, abs=1e-3)
    length = np.linalg.norm(clean - place, axis=1)
    # on a slab the face's normal is the axis on which the point reaches its extent
    side = np.abs(np.abs(clean) - np.abs(vertices).max(axis=0)).argmin(axis=1)
    cosine = np.abs(clean - place)[np.arange(len(clean)), side] / length
    assert cosine.min() >= np.cos(np.radians(80)) - 1e-6
    normalised = np.einsum("ij,ij->i", move, clean - place) / length * cosine * (D / length) ** 2 / level
    assert np.abs(normalised.mean()) < 5 / np.sqrt(len(move))
    assert np.abs((normalised**2).mean() - 1) < 5 * np.sqrt(2 / len(move))
    for low, high in ((0.0, 0.4), (0.7, 1.0)):  # and so for grazing and for steep rays
        some = normalised[(cosine >= low) & (cosine < high)]
        if len(some) > 100:
            assert np.abs((some**2).mean() - 1) < 5 * np.sqrt(2 / len(some))


@pytest.mark.parametrize("with_mesh", [True, False])
def test_nothing_comes_back_at_a_grazing_angle(ball, with_mesh: bool) -> None:
    scanner = Scanner(0.0, D, rays=100, grazing=50)
    mesh = ball if with_mesh else None
    points, _ = scanner.apply(ball[0], np.random.default_rng(0), normals=ball[0], mesh=mesh)
    place = place_of(points)
    cosine = -np.einsum("ij,ij->i", (points - place) / np.linalg.norm(points - place, axis=1)[:, None], points)
    assert cosine.min() == pytest.approx(np.cos(np.radians(50)), abs=0.04)


def test_density_of_a_scanned_cloud_follows_the_returned_power(sphere) -> None:
    points = np.concatenate([sphere, sphere @ [[0, 1, 0], [0, 0, 1], [1, 0, 0]]])
    share, power = [], []
    for seed in range(30):
        kept = Scanner(0.0, D).apply(points, np.random.default_rng(seed), normals=points).rows
        place = place_of(points[kept])
        ray = points - place
        length = np.linalg.norm(ray, axis=1)
        cosine = -np.einsum("ij,ij->i", ray / length[:, None], points)
        near = np.bincount(kept, minlength=len(points)) > 0
        for low in (0.3, 0.5, 0.7, 0.9):
            band = (cosine >= low) & (cosine < low + 0.1)
            share.append(near[band].mean())
            power.append((cosine * (D / length) ** 2)[band].mean())
    share, power = np.reshape(share, (30, 4)).mean(axis=0), np.reshape(power, (30, 4)).mean(axis=0)
    np.testing.assert_allclose(share / share[-1], power / power[-1], rtol=0.06)


def test_what_is_behind_is_hidden(sphere) -> None:
    seen = visible(sphere, np.array([0, 0, D]))
    truth = sphere[:, 2] > 1 / D
    assert (seen != truth).mean() < 0.02
    wall = np.random.default_rng(0).uniform(-2, 2, (20_000, 3)) * [1, 1, 0] + [0, 0, 1.5]
    both = visible(np.concatenate([sphere, wall]), np.array([0, 0, D]))
    assert both[:6000].mean() < 0.02
    assert both[6000:].mean() > 0.95


def test_what_is_inside_is_hidden(ball, slab) -> None:
    inner = 0.03 * ball[0]  # within the slab, whose half thickness is 0.05
    both = np.concatenate([slab[0], inner]), np.concatenate([slab[1], ball[1] + len(slab[0])])
    points = Scanner(0.0, D, views=4, rays=100).apply(both[0], np.random.default_rng(0), mesh=both).points
    assert np.linalg.norm(points, axis=1).min() > 0.05


def test_views_add_up_to_the_whole(ball) -> None:
    points, _ = Scanner(0.0, D, views=8, rays=60).apply(ball[0], np.random.default_rng(0), mesh=ball)
    assert cKDTree(points).query(ball[0])[0].max() < 0.15


def test_attributes_of_what_it_sees(sphere) -> None:
    rows = Scanner(0.01, D, views=2).apply(sphere, np.random.default_rng(0)).rows
    assert rows.min() >= 0
    assert rows.max() < len(sphere)
    assert len(rows) < len(sphere)


def test_refusals(sphere) -> None:
    with pytest.raises(UsageError, match="outside the shape"):
        Scanner(0.01, 0.9)
    with pytest.raises(UsageError, match="views is 0"):
        Scanner(0.01, views=0)
    with pytest.raises(UsageError, match="grazing is 95"):
        Scanner(0.01, grazing=95)
    with pytest.raises(InputError, match="sees no point"):
        Scanner(0.01, grazing=0.001).apply(sphere, np.random.default_rng(0))
