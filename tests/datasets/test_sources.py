from pathlib import Path

import numpy as np
import pytest

from pcdenoise.datasets.folder import Folder
from pcdenoise.datasets.lofts import hull
from pcdenoise.datasets.procedural import Shapes
from pcdenoise.datasets.pu_net import PUNet
from pcdenoise.errors import InputError, UsageError
from pcdenoise.geometry.sampling import poisson_disk

SHARED = Path(__file__).parents[3] / "shared" / "data" / "PUNet"
CUBE = hull(np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float))


def write_off(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [" ".join(map(str, v)) for v in vertices] + [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text("\n".join(["OFF", f"{len(vertices)} {len(faces)} 0", *rows]) + "\n")


def write_layout(root: Path, names: tuple[str, ...] = ("cube", "wedge")) -> None:
    for i, name in enumerate(names):
        write_off(root / "meshes/train" / f"{name}.off", 2 * CUBE[0] + i, CUBE[1])
        for n in (200, 600):
            points, _ = poisson_disk(2 * CUBE[0] + i, CUBE[1], n, np.random.default_rng(n))
            path = root / "pointclouds/train" / f"{n}_poisson" / f"{name}.xyz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(path, points, fmt="%.6f")


def test_shapes_repeat_and_ranges_join(tmp_path: Path) -> None:
    seen = []
    source = Shapes(3, 3, (200, 100), families=("polyhedra", "plates"), meshes=True, cache_dir=tmp_path)
    surfaces = source.surfaces(lambda done, total, name: seen.append((done, total, name)))
    assert [s.name for s in surfaces] == ["plates-00003", "polyhedra-00004", "plates-00005"]
    assert seen == [(1, 3, "plates-00003"), (2, 3, "polyhedra-00004"), (3, 3, "plates-00005")]
    assert [p.shape for p, _ in surfaces[0].clouds.values()] == [(200, 3), (100, 3)]
    assert surfaces[0].mesh is not None
    source.surfaces(lambda *_: pytest.fail("the second time comes from the cache"))
    alone = Shapes(1, 4, (200, 100), families=("polyhedra", "plates")).surfaces()[0]
    assert alone.mesh is None
    np.testing.assert_array_equal(alone.clouds[200][0], surfaces[1].clouds[200][0])


def test_unknown_family() -> None:
    with pytest.raises(UsageError, match="teapot"):
        Shapes(families=("teapot",))


def test_folder_reads_every_format(tmp_path: Path) -> None:
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


def test_folder_cache_follows_the_contents(tmp_path: Path) -> None:
    write_off(tmp_path / "in/cube.off", *CUBE)
    source = Folder(tmp_path / "in", resolutions=(64,), cache_dir=tmp_path / "cache")
    first = source.surfaces()
    source.surfaces(lambda *_: pytest.fail("the second time comes from the cache"))
    write_off(tmp_path / "in/cube.off", CUBE[0] * [1, 1, 0.5], CUBE[1])
    assert not np.allclose(source.surfaces()[0].clouds[64][0], first[0].clouds[64][0])


def test_folder_messages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*absent"):
        Folder(tmp_path / "absent").surfaces()
    with pytest.raises(InputError, match="holds no meshes"):
        Folder(tmp_path).surfaces()
    write_off(tmp_path / "points.off", CUBE[0], CUBE[1][:0])
    with pytest.raises(InputError, match=r"points\.off"):
        Folder(tmp_path).surfaces()


def test_pu_net_layout(tmp_path: Path) -> None:
    write_layout(tmp_path)
    (tmp_path / "meshes/train/wedge.off").unlink()
    with_mesh, without = PUNet(tmp_path, "train", (200, 600), meshes=True).surfaces()
    assert (with_mesh.name, without.name) == ("cube", "wedge")
    assert with_mesh.mesh is not None
    assert without.mesh is None
    for surface in (with_mesh, without):
        for n in (200, 600):
            points, normals = surface.clouds[n]
            assert points.shape == (n, 3)
            side = np.abs(points).argmax(axis=1)
            agreement = np.abs(normals[np.arange(n), side])
            if surface is with_mesh:  # every point has the normal of the cube's side it lies on, outwards
                assert (agreement > 0.999).mean() > 0.97
                assert (np.einsum("ij,ij->i", points, normals) > 0).all()
            else:
                assert (agreement > 0.9).mean() > 0.4
    np.testing.assert_allclose(np.linalg.norm(with_mesh.mesh[0], axis=1), 1, rtol=1e-6)


def test_pu_net_messages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected <root>/pointclouds/<split>"):
        PUNet(tmp_path).surfaces()
    write_layout(tmp_path)
    with pytest.raises(InputError, match=r"no folder 10000_poisson; give resolutions from \[200, 600\]"):
        PUNet(tmp_path).surfaces()
    (tmp_path / "pointclouds/train/200_poisson/cube.xyz").unlink()
    with pytest.raises(InputError, match=r"no file .*200_poisson/cube\.xyz"):
        PUNet(tmp_path, resolutions=(200, 600)).surfaces()
    (tmp_path / "pointclouds/train/200_poisson/cube.xyz").write_text("1 2\n3 4\n")
    with pytest.raises(InputError, match=r"200_poisson/cube\.xyz"):
        PUNet(tmp_path, resolutions=(200, 600)).surfaces()


def test_pu_net_refuses_a_mesh_of_another_frame(tmp_path: Path) -> None:
    write_layout(tmp_path, ("cube",))
    write_off(tmp_path / "meshes/train/cube.off", 0.5 * CUBE[0] + 3, CUBE[1])
    with pytest.raises(InputError, match=r"do not lie on its mesh|leaves the unit sphere"):
        PUNet(tmp_path, resolutions=(200,)).surfaces()


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the PU-Net test shapes are not at {SHARED}")
def test_published_shapes(tmp_path: Path) -> None:
    for part in ("meshes/test", "pointclouds/test/10000_poisson"):
        (tmp_path / part).mkdir(parents=True)
        for path in (SHARED / part).glob("Icosahedron.*"):
            (tmp_path / part / path.name).symlink_to(path)
    (surface,) = PUNet(tmp_path, "test", (10_000,)).surfaces()
    points, normals = surface.clouds[10_000]
    assert points.shape == (10_000, 3)
    # On a regular solid around the origin the height of every face is the same.
    heights = np.einsum("ij,ij->i", points, normals)
    assert np.quantile(heights, 0.98) - np.quantile(heights, 0.02) < 0.03
