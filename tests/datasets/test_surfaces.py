from pathlib import Path

import numpy as np
import pytest

from pcdenoise.datasets.lofts import hull
from pcdenoise.datasets.surfaces import RANGE, Surface, cached, load, sample_surface, save
from pcdenoise.errors import InputError, OutputError

STEP = RANGE / 32767


def ball(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    normals = np.random.default_rng(seed).standard_normal((n, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    return normals * np.float32(0.999), normals


def matched(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Index of the nearest of `others` for each point."""
    return np.linalg.norm(points[:, None] - others, axis=2).argmin(axis=1)


def test_round_trip_keeps_points_normals_names_and_mesh(tmp_path: Path) -> None:
    mesh = hull(ball(40)[0].astype(float))
    kept = (mesh[0].astype(np.float32), mesh[1].astype(np.int32))
    written = [Surface("a/b", {500: ball(500), 200: ball(200, 1)}, kept), Surface("ü", {7: ball(7)})]
    save(written, tmp_path / "new" / "set.npz")
    read = load(tmp_path / "new" / "set.npz")
    assert [s.name for s in read] == ["a/b", "ü"]
    assert [sorted(s.clouds) for s in read] == [[200, 500], [7]]
    assert read[1].mesh is None
    np.testing.assert_array_equal(read[0].mesh[0], kept[0])
    np.testing.assert_array_equal(read[0].mesh[1], kept[1])
    points, normals = read[0].clouds[500]
    assert points.dtype == normals.dtype == np.float32
    index = matched(points, written[0].clouds[500][0])
    assert len(np.unique(index)) == 500
    assert np.abs(points - written[0].clouds[500][0][index]).max() <= 0.51 * STEP
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-6)
    cosine = np.einsum("ij,ij->i", normals, written[0].clouds[500][1][index])
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 1
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "set.npz"]


def test_axis_normals_are_exact(tmp_path: Path) -> None:
    normals = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    save([Surface("axes", {6: (normals, normals)})], tmp_path / "axes.npz")
    points, read = load(tmp_path / "axes.npz")[0].clouds[6]
    np.testing.assert_allclose(read, points, atol=2 * STEP)


def test_size_allows_sixty_shapes_of_fifty_thousand_points_in_forty_megabytes(tmp_path: Path) -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    surface = sample_surface("cube", *hull(corners), (10_000, 20_000), np.random.default_rng(0))
    save([surface], tmp_path / "one.npz")
    assert (tmp_path / "one.npz").stat().st_size / 30_000 < 40e6 / (60 * 90_000)


def test_sampling_is_normalised_and_on_the_mesh() -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * [3.0, 3, 3] + 50
    surface = sample_surface("cube", *hull(corners), (300, 1000), np.random.default_rng(0), keep_mesh=True)
    assert np.linalg.norm(surface.mesh[0], axis=1).max() == pytest.approx(1)
    for n, (points, normals) in surface.clouds.items():
        assert points.shape == normals.shape == (n, 3)
        face = np.abs(normals).argmax(axis=1)
        np.testing.assert_allclose(points[np.arange(n), face], normals[np.arange(n), face] / np.sqrt(3), atol=1e-6)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same name"):
        save([Surface("x", {}), Surface("x", {})], tmp_path / "x.npz")
    with pytest.raises(InputError, match="unit sphere"):
        save([Surface("x", {2: (np.full((2, 3), 1.5, np.float32), ball(2)[1])})], tmp_path / "x.npz")
    with pytest.raises(InputError, match="no file"):
        load(tmp_path / "absent.npz")
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="build it again"):
        load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="not a file of surfaces"):
        load(tmp_path / "other.npz")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        save([], tmp_path / "file" / "x.npz")


def test_cache_hits_misses_and_survives_damage(tmp_path: Path) -> None:
    calls = []

    def build() -> list[Surface]:
        calls.append(1)
        return [Surface("ball", {50: ball(50)})]

    fresh = cached({"a": 1}, tmp_path, build)
    again = cached({"a": 1}, tmp_path, build)
    uncached = cached({"a": 1}, None, build)
    assert len(calls) == 2
    for surfaces in (again, uncached):
        np.testing.assert_array_equal(surfaces[0].clouds[50][0], fresh[0].clouds[50][0])
        np.testing.assert_array_equal(surfaces[0].clouds[50][1], fresh[0].clouds[50][1])
    cached({"a": 2}, tmp_path, build)
    assert len(calls) == 3
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:200])
    cached({"a": 1}, tmp_path, build)
    assert len(calls) == 4
