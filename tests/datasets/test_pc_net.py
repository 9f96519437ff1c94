from pathlib import Path

import numpy as np
import pytest
from layouts import write_xyz

from pcdenoise.datasets.pc_net import PCNet
from pcdenoise.errors import InputError


@pytest.fixture
def root(tmp_path: Path, sphere: np.ndarray) -> Path:
    """Two shapes, one of them with two noisy versions, as the authors name them."""
    rng = np.random.default_rng(0)
    shapes = {"bunny100k": 3 * sphere, "pipe100k": sphere @ np.diag([1, 1, 2])}
    names = [*shapes, "bunny100k_noise_white_1.00e-02", "bunny100k_noise_white_2.50e-02"]
    for name in names:
        clean = shapes[name.partition("_noise")[0]]
        write_xyz(tmp_path / f"{name}.clean_xyz", clean)
        level = float(name.rpartition("_")[2]) * 3 if "noise" in name else 0
        write_xyz(tmp_path / f"{name}.xyz", clean + level * rng.standard_normal(clean.shape))
    (tmp_path / "trainingset.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "validationset.txt").write_text("bunny100k_noise_white_1.00e-02\n")
    return tmp_path


def test_each_shape_once(root: Path) -> None:
    surfaces = PCNet(root, resolutions=(300, 1000)).surfaces()
    assert [surface.name for surface in surfaces] == ["bunny100k", "pipe100k"]
    for surface in surfaces:
        assert [len(points) for points, _ in surface.clouds.values()] == [300, 1000]
    points, normals = surfaces[0].clouds[1000]
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-3)
    assert (np.einsum("ij,ij->i", points, normals) > 0.99).all()


def test_noisy_clouds_are_pairs(root: Path) -> None:
    first, second = PCNet(root).pairs()
    assert (first.name, second.name) == ("bunny100k_noise_white_1.00e-02", "bunny100k_noise_white_2.50e-02")
    for pair, sigma in ((first, 0.01), (second, 0.025)):
        assert pair.shape == "bunny100k"
        assert pair.same_rows
        assert pair.sigma == pytest.approx(sigma, rel=0.05)
    (only,) = PCNet(root, "validation").pairs()
    assert only.name == first.name
    assert [surface.name for surface in PCNet(root, "validation", resolutions=(300,)).surfaces()] == ["bunny100k"]


def test_the_shape_itself_is_its_clean_cloud(root: Path) -> None:
    for path in root.glob("*.clean_xyz"):
        path.unlink()
    assert len(PCNet(root, resolutions=(300,)).surfaces()) == 2
    assert [round(pair.sigma, 3) for pair in PCNet(root).pairs()] == pytest.approx([0.01, 0.025], rel=0.05)


def test_the_cache_is_used(root: Path) -> None:
    source = PCNet(root, resolutions=(300,), cache_dir=root / "cache")
    source.surfaces()
    source.surfaces(lambda *_: pytest.fail("the second time comes from the cache"))


def test_messages(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*testset\.txt"):
        PCNet(root, "test").surfaces()
    with pytest.raises(InputError, match="choose from train, validation, test"):
        PCNet(root, "training").surfaces()
    with pytest.raises(InputError, match="less than 10,000"):
        PCNet(root, resolutions=(10_000,)).surfaces()
    (root / "pipe100k.xyz").unlink()
    (root / "bunny100k_noise_white_1.00e-02.clean_xyz").unlink()
    (root / "bunny100k.xyz").unlink()
    with pytest.raises(InputError, match=r"without files: .*clean_xyz.*unpack"):
        PCNet(root).pairs()
