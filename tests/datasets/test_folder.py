from pathlib import Path

import numpy as np
import pytest
from layouts import CUBE, write_off, write_xyz

from pcdenoise.cloud import PointCloud
from pcdenoise.datasets.folder import Folder
from pcdenoise.errors import InputError, UsageError
from pcdenoise.io import write


def test_every_mesh_format(tmp_path: Path) -> None:
    import trimesh

    mesh = trimesh.Trimesh(*CUBE, process=False)
    for name in ("a.off", "b.obj", "sub/c.ply", "sub/d.STL"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
        mesh.export(tmp_path / name, file_type=name[-3:].lower())
    (tmp_path / "notes.txt").write_text("not a mesh")
    surfaces = Folder(tmp_path, resolutions=(64,), meshes=True).surfaces()
    assert [s.name for s in surfaces] == ["a", "b", "sub/c", "sub/d"]
    for surface in surfaces:
        np.testing.assert_allclose(np.abs(surface.mesh[0]), 1 / np.sqrt(3), rtol=1e-6)


def test_clouds_beside_meshes(tmp_path: Path, sphere: np.ndarray) -> None:
    write_off(tmp_path / "a.off", *CUBE)
    holes = np.concatenate([5 * sphere, [[np.nan] * 3]])
    marks = np.concatenate([3 * np.roll(sphere, 1, axis=1), [[0.0] * 3]])
    write(PointCloud(holes, {"normals": marks.astype(np.float32)}), tmp_path / "b.ply")
    write(PointCloud(5 * sphere), tmp_path / "c.las")
    write(PointCloud(5 * sphere), tmp_path / "d.off")
    mesh, given, estimated, vertices = Folder(tmp_path, resolutions=(64, 500), meshes=True).surfaces()
    assert mesh.mesh is not None
    for surface in (given, estimated, vertices):
        assert surface.mesh is None
        assert {n: len(points) for n, (points, _) in surface.clouds.items()} == {64: 64, 500: 500}
    points, normals = given.clouds[500]
    np.testing.assert_allclose(normals, np.roll(points, 1, axis=1), atol=0.02)  # stored in two bytes
    points, normals = estimated.clouds[500]
    np.testing.assert_allclose(normals, points, atol=0.06)


def test_text_counts_where_nothing_else_is(tmp_path: Path, sphere: np.ndarray) -> None:
    write(PointCloud(sphere), tmp_path / "a.csv")
    assert [s.name for s in Folder(tmp_path, resolutions=(100,)).surfaces()] == ["a"]
    write(PointCloud(sphere), tmp_path / "b.ply")
    assert [s.name for s in Folder(tmp_path, resolutions=(100,)).surfaces()] == ["b"]


def test_clouds_as_they_are(tmp_path: Path, sphere: np.ndarray) -> None:
    write(PointCloud(sphere), tmp_path / "a.ply")
    write(PointCloud(sphere[:3000]), tmp_path / "b.ply")
    assert [list(s.clouds) for s in Folder(tmp_path, resolutions=None).surfaces()] == [[6000], [3000]]
    write_off(tmp_path / "c.off", *CUBE)
    with pytest.raises(UsageError, match=r"c\.off is a mesh"):
        Folder(tmp_path, resolutions=None).surfaces()


def test_the_cache_follows_the_contents(tmp_path: Path) -> None:
    write_off(tmp_path / "in/cube.off", *CUBE)
    source = Folder(tmp_path / "in", resolutions=(64,), cache_dir=tmp_path / "cache")
    first = source.surfaces()
    source.surfaces(lambda *_: pytest.fail("the second time comes from the cache"))
    write_off(tmp_path / "in/cube.off", CUBE[0] * [1, 1, 0.5], CUBE[1])
    assert not np.allclose(source.surfaces()[0].clouds[64][0], first[0].clouds[64][0])


def test_messages(tmp_path: Path, sphere: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"no folder .*absent"):
        Folder(tmp_path / "absent").surfaces()
    with pytest.raises(InputError, match="holds no meshes or point clouds"):
        Folder(tmp_path).surfaces()
    write_off(tmp_path / "points.off", CUBE[0], CUBE[1][:0])
    with pytest.raises(InputError, match=r"points\.off.*8 points, less than 10,000"):
        Folder(tmp_path, resolutions=(10_000,)).surfaces()
    with pytest.raises(InputError, match=r"points\.off.*less than 17"):
        Folder(tmp_path, resolutions=None).surfaces()
    with pytest.raises(InputError, match=r"no pairs; put the clean clouds into .*clean.*noisy"):
        Folder(tmp_path).pairs()
    (tmp_path / "points.off").write_text("OFF\n8 3 1\n0 0\n")
    with pytest.raises(InputError, match=r"points\.off"):
        Folder(tmp_path).surfaces()


def test_pairs(tmp_path: Path, sphere: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "clean").mkdir()
    write(PointCloud(5 * sphere, {"normals": -sphere}), tmp_path / "clean" / "ball.ply")
    write_xyz(tmp_path / "noisy/weak/ball.xyz", 5 * (sphere + 0.01 * rng.standard_normal(sphere.shape)))
    write_xyz(tmp_path / "noisy/strong/ball.xyz", 5 * (sphere + 0.03 * rng.standard_normal(sphere.shape)))
    source = Folder(tmp_path, resolutions=(300,))
    assert [s.name for s in source.surfaces()] == ["ball"]
    seen = []
    strong, weak = source.pairs(lambda done, of, name: seen.append((done, of, name)))
    assert seen == [(1, 2, "strong/ball"), (2, 2, "weak/ball")]
    assert (strong.name, weak.name) == ("strong/ball", "weak/ball")
    assert strong.shape == weak.shape == "ball"
    assert strong.sigma == pytest.approx(0.03, rel=0.05)
    assert weak.sigma == pytest.approx(0.01, rel=0.05)
    assert weak.same_rows
    np.testing.assert_allclose(weak.normals, -sphere, atol=1e-6)


def test_pairs_leave_out_rows_without_coordinates(tmp_path: Path, sphere: np.ndarray) -> None:
    for name, row in {"clean": 3, "noisy": 7}.items():
        points = sphere.copy()
        points[row] = np.nan
        (tmp_path / name).mkdir()
        write(PointCloud(points), tmp_path / name / "ball.ply")
    (pair,) = Folder(tmp_path).pairs()
    assert len(pair.noisy) == len(pair.clean) == 5998
    assert pair.same_rows
    assert pair.sigma == 0


def test_pairs_without_a_partner(tmp_path: Path, sphere: np.ndarray) -> None:
    for name in ("clean/a", "noisy/a", "noisy/b", "noisy/c"):
        write_xyz(tmp_path / f"{name}.xyz", sphere)
    with pytest.raises(InputError, match=r"clean has no b, c; name each clean cloud"):
        Folder(tmp_path).pairs()
