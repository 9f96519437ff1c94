from pathlib import Path

import numpy as np
import pytest
from layouts import CUBE, write_off, write_pu_net, write_xyz

from pcdenoise.datasets.pu_net import PUNet, check_layout
from pcdenoise.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "PUNet"


def test_layout(tmp_path: Path) -> None:
    write_pu_net(tmp_path)
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


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected <root>/pointclouds/<split>"):
        PUNet(tmp_path).surfaces()
    write_pu_net(tmp_path)
    with pytest.raises(InputError, match=r"no folder 10000_poisson; give resolutions from \[200, 600\]"):
        PUNet(tmp_path).surfaces()
    (tmp_path / "pointclouds/train/200_poisson/cube.xyz").unlink()
    with pytest.raises(InputError, match=r"no file .*200_poisson/cube\.xyz"):
        PUNet(tmp_path, resolutions=(200, 600)).surfaces()
    (tmp_path / "pointclouds/train/200_poisson/cube.xyz").write_text("1 2\n3 4\n")
    with pytest.raises(InputError, match=r"200_poisson/cube\.xyz"):
        PUNet(tmp_path, resolutions=(200, 600)).surfaces()


def test_refuses_a_mesh_of_another_frame(tmp_path: Path) -> None:
    write_pu_net(tmp_path, ("cube",))
    write_off(tmp_path / "meshes/train/cube.off", 0.5 * CUBE[0] + 3, CUBE[1])
    with pytest.raises(InputError, match=r"do not lie on its mesh|leaves the unit sphere"):
        PUNet(tmp_path, resolutions=(200,)).surfaces()


@pytest.mark.parametrize("place", ["PUNet/examples", "examples"])
def test_noisy_clouds(tmp_path: Path, place: str) -> None:
    root = tmp_path / "PUNet"
    write_pu_net(root, split="test", examples=tmp_path / place)
    source = PUNet(root, "test", (200, 600), levels=(0.02,))
    assert list(source.noisy_files(600, 0.02)) == ["cube", "wedge"]
    pairs = source.pairs()
    assert [pair.name for pair in pairs] == [f"{n}/0.02/{name}" for n in (200, 600) for name in ("cube", "wedge")]
    assert [pair.shape for pair in pairs] == ["cube", "wedge"] * 2
    for pair in pairs:
        assert pair.same_rows
        assert pair.sigma == pytest.approx(0.02, rel=0.1)
    with pytest.raises(InputError, match=r"no folder examples/PUNet_600_poisson_0\.01"):
        source.noisy_files(600, 0.01)
    (tmp_path / place / "PUNet_600_poisson_0.02" / "wedge.xyz").unlink()
    with pytest.raises(InputError, match="lacks the noisy clouds of wedge"):
        source.pairs()


def test_a_copy_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcdenoise.datasets.pu_net.PUBLISHED", {"train": (200,), "test": (200, 600)})
    monkeypatch.setattr("pcdenoise.datasets.pu_net.SHAPES", {"train": 2, "test": 2})
    write_pu_net(tmp_path, split="test", examples=tmp_path / "examples")

    def states() -> dict[str, tuple[int, bool, tuple[str, ...]]]:
        return {
            part.folder.removeprefix(f"{tmp_path}/"): (part.found, part.complete, part.problems)
            for part in check_layout(tmp_path)
        }

    found = states()
    assert found["meshes/train"] == (0, False, ())
    for folder in ("meshes/test", "pointclouds/test/200_poisson", "examples/PUNet_600_poisson_0.02"):
        assert found[folder] == (2, True, ())
    assert found["examples/PUNet_600_poisson_0.01"] == (0, False, ())
    (tmp_path / "pointclouds/test/600_poisson/cube.xyz").unlink()
    write_xyz(tmp_path / "pointclouds/test/200_poisson/wedge.xyz", np.random.default_rng(0).random((201, 3)))
    write_xyz(tmp_path / "examples/PUNet_200_poisson_0.02/cube.xyz", 50 * np.random.default_rng(0).random((200, 3)))
    found = states()
    assert found["pointclouds/test/600_poisson"] == (1, False, ("lacks cube",))
    assert found["pointclouds/test/200_poisson"] == (2, False, ("wedge.xyz has 201 points",))
    assert "one unit and place" in found["examples/PUNet_200_poisson_0.02"][2][0]
    write_off(tmp_path / "meshes/test/cube.off", 0.5 * CUBE[0] + 3, CUBE[1])
    assert "do not lie on its mesh" in states()["pointclouds/test/200_poisson"][2][0]


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
