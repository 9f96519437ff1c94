from pathlib import Path

import numpy as np
import pytest
import trimesh

from pcdenoise.errors import InputError
from pcdenoise.geometry.noise import estimate_noise, scattered, spacing
from pcdenoise.geometry.sampling import poisson_disk

VALIDATION_MESHES = Path(__file__).parents[3] / "shared" / "data" / "meshes" / "val"


def grid(n):
    axis = np.arange(n, dtype=np.float64)
    return np.stack([*np.meshgrid(axis, axis, indexing="ij"), np.zeros((n, n))], axis=2).reshape(-1, 3)


def test_the_eighth_neighbour_on_a_grid_is_the_diagonal_one():
    assert spacing(grid(50)) == pytest.approx(np.sqrt(2) / np.sqrt(8 / np.pi))


def test_spacing_is_about_the_inverse_root_of_the_density():
    points = np.random.default_rng(0).random((20_000, 3)) * [1, 1, 0]
    assert spacing(points) * np.sqrt(20_000) == pytest.approx(1, rel=0.03)


def test_spacing_of_a_large_cloud_depends_on_neither_order_nor_origin():
    rng = np.random.default_rng(0)
    points = rng.random((30_000, 3))
    shuffled = rng.permutation(points) + np.array([500_000.0, 5_400_000.0, 300.0])
    assert spacing(shuffled) == pytest.approx(spacing(points), rel=1e-6)
    np.testing.assert_array_equal(scattered(points, 100), scattered(rng.permutation(points), 100))


@pytest.mark.parametrize("n", [0, 1])
def test_less_than_two_points_have_no_spacing(n):
    assert spacing(np.zeros((n, 3))) == 0


def test_small_and_coincident_clouds():
    assert spacing(np.array([[0.0, 0, 0], [1, 0, 0]])) == pytest.approx(np.sqrt(np.pi))
    assert spacing(np.ones((40, 3))) == 0


def sampled(name, n=10_000):
    square = trimesh.Trimesh([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    mesh = {
        "sphere": trimesh.creation.icosphere(subdivisions=5),
        "plane": square,
        "box": trimesh.creation.box((1.0, 0.7, 0.4)),
        "plate": trimesh.creation.box((1.0, 1.0, 0.05)),
        "torus": trimesh.creation.torus(1.0, 0.3, 128, 64),
    }.get(name)
    if mesh is None:
        if not (VALIDATION_MESHES / f"{name}.off").exists():
            pytest.skip(f"the validation mesh {name} is not on this machine")
        mesh = trimesh.load_mesh(VALIDATION_MESHES / f"{name}.off", process=False)
    return poisson_disk(mesh.vertices, mesh.faces, n, np.random.default_rng(0))[0]


def with_noise(clean, level, seed=0):
    """The cloud with noise of `level` spacings, and its sigma."""
    sigma = level * spacing(clean)
    return clean + sigma * np.random.default_rng(seed).normal(size=clean.shape), sigma


@pytest.mark.parametrize("level", [0.25, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("name", ["sphere", "plane", "box"])
def test_noise_is_found(name, level):
    noisy, sigma = with_noise(sampled(name), level)
    assert estimate_noise(noisy) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("level", [0.25, 0.5])
def test_noise_is_found_on_a_thin_plate(level):
    # its thickness is 3.4 spacings
    noisy, sigma = with_noise(sampled("plate"), level)
    assert estimate_noise(noisy) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("name", ["sphere", "plane", "box", "torus", "plate", "feline", "od_wingnut", "joint"])
def test_a_clean_cloud_has_no_noise(name):
    clean = sampled(name)
    assert estimate_noise(clean) < 0.1 * spacing(clean)


@pytest.mark.parametrize(
    ("name", "level"), [("max-planck", 2.0), ("feline", 0.5), ("od_hand", 1.0), ("od_wingnut", 2.0), ("joint", 1.0)]
)
def test_noise_is_found_on_a_mesh(name, level):
    noisy, sigma = with_noise(sampled(name), level)
    assert estimate_noise(noisy) == pytest.approx(sigma, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("n", [10_000, 50_000])
@pytest.mark.parametrize("name", ["feline", "joint", "max-planck", "od_hand", "od_wingnut", "twirl"])
def test_noise_is_found_on_all_validation_meshes(name, n):
    clean = sampled(name, n)
    assert estimate_noise(clean) < 0.1 * spacing(clean)
    for level, tolerance in ((0.5, 0.15), (1.0, 0.15), (2.0, 0.3), (4.0, 0.35)):
        noisy, sigma = with_noise(clean, level)
        # from two spacings on, the thin parts of feline, joint and twirl merge with their other side
        assert estimate_noise(noisy) == pytest.approx(sigma, rel=tolerance)


def test_the_estimate_knows_unit_origin_and_order_of_rows_as_such():
    noisy, _ = with_noise(sampled("torus", 5_000), 1.0)
    estimate = estimate_noise(noisy)
    shuffled = np.random.default_rng(1).permutation(noisy)
    assert estimate_noise(shuffled) == pytest.approx(estimate, rel=1e-9)
    assert estimate_noise(1e3 * noisy) == pytest.approx(1e3 * estimate, rel=1e-6)
    assert estimate_noise(noisy + np.array([500_000.0, 5_400_000.0, 300.0])) == pytest.approx(estimate, rel=1e-3)


def test_outliers_duplicates_and_uneven_density_matter_little():
    rng = np.random.default_rng(0)
    noisy, sigma = with_noise(sampled("torus"), 1.0)
    outliers = rng.uniform(noisy.min() - 1, noisy.max() + 1, size=(500, 3))
    assert estimate_noise(np.concatenate([noisy, outliers])) == pytest.approx(sigma, rel=0.15)
    assert estimate_noise(np.concatenate([noisy, noisy, noisy])) == pytest.approx(estimate_noise(noisy), rel=1e-9)
    thinned = noisy[(noisy[:, 0] > 0) | (rng.random(len(noisy)) < 0.25)]
    assert estimate_noise(thinned) == pytest.approx(sigma, rel=0.15)


def test_degenerate_clouds_have_no_noise():
    rng = np.random.default_rng(0)
    line = rng.random((500, 1)) * np.array([[1.0, 2.0, 3.0]])
    assert estimate_noise(line) == pytest.approx(0, abs=1e-9)
    assert estimate_noise(rng.random((500, 3)) * [1, 1, 0]) == pytest.approx(0, abs=1e-9)
    assert estimate_noise(np.ones((500, 3))) == 0
    for n in range(17):
        assert estimate_noise(rng.random((n, 3))) == 0
    assert estimate_noise(rng.random((17, 3))) > 0


def test_noise_of_nan_is_an_error():
    with pytest.raises(InputError, match="finite"):
        estimate_noise(np.full((50, 3), np.nan))


@pytest.mark.parametrize("gap", [2.0, 3.0])
def test_two_sides_of_a_thin_wall_are_not_noise(gap):
    """Sheets of pitch 1 a few pitches apart: counted as noise, the wall would read gap / 2, five times the truth."""
    rng = np.random.default_rng(0)
    sheet = np.stack([*np.meshgrid(np.arange(70.0), np.arange(70.0)), np.zeros((70, 70))], axis=-1).reshape(-1, 3)
    wall = np.concatenate([sheet, sheet + np.array([0.37, 0.61, gap])])
    noisy = wall + rng.uniform(-0.3, 0.3, wall.shape) * [1, 1, 0] + 0.25 * rng.standard_normal(wall.shape)
    assert 0.5 * 0.25 < estimate_noise(noisy) < 1.7 * 0.25
