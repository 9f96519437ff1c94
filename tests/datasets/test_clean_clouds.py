from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pcdenoise.datasets.clean_clouds import cloud_surface, read_xyz
from pcdenoise.errors import InputError


def test_normalised_thinned_evenly_with_estimated_normals(sphere: np.ndarray) -> None:
    surface = cloud_surface("ball", 7 * sphere + [1e6, 0, -5], (6000, 500, 1000), np.random.default_rng(0))
    assert sorted(surface.clouds) == [500, 1000, 6000]
    assert surface.mesh is None
    for n, (points, normals) in surface.clouds.items():
        assert points.shape == normals.shape == (n, 3)
        assert points.dtype == normals.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-3)
        assert (np.einsum("ij,ij->i", points, normals) > 0.998).all()
    thinned = surface.clouds[1000][0]
    nearest = cKDTree(thinned).query(thinned, k=2)[0][:, 1]
    even = np.sqrt(4 * np.pi / 1000)
    assert nearest.min() > 0.6 * even  # a random choice has points at a tenth of that


def test_given_normals_stay_with_their_points(sphere: np.ndarray) -> None:
    marks = np.roll(sphere, 1, axis=1)
    points, normals = cloud_surface("ball", sphere, (300,), np.random.default_rng(0), marks).clouds[300]
    np.testing.assert_allclose(normals, np.roll(points, 1, axis=1), atol=2e-3)


def test_all_points_in_their_order(sphere: np.ndarray) -> None:
    surface = cloud_surface("ball", sphere, None, np.random.default_rng(0))
    np.testing.assert_allclose(surface.clouds[6000][0], sphere, atol=1e-3)


def test_the_generator_decides(sphere: np.ndarray) -> None:
    first, again, other = (
        cloud_surface("ball", sphere, (300,), np.random.default_rng(seed)).clouds[300][0] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_too_few_points(sphere: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"ball has 500 points, less than 1,000.*resolutions"):
        cloud_surface("ball", sphere[:500], (1000, 200), np.random.default_rng(0))
    with pytest.raises(InputError, match="less than 17"):
        cloud_surface("ball", sphere[:10], None, np.random.default_rng(0))


def test_text_files(tmp_path: Path, sphere: np.ndarray) -> None:
    path = tmp_path / "a.clean_xyz"
    np.savetxt(path, np.column_stack([sphere[:20], np.ones(20)]))
    np.testing.assert_allclose(read_xyz(path), sphere[:20])
    for text in ("1 2 x\n", "1 2\n3 4\n", "1 2 3\n", "", "nan 0 0\n" * 20):
        path.write_text(text)
        with pytest.raises(InputError, match=r"a\.clean_xyz"):
            read_xyz(path)
    with pytest.raises(InputError, match="absent"):
        read_xyz(tmp_path / "absent.xyz")
