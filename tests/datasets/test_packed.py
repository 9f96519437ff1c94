import numpy as np
import pytest

from pcdenoise.config import instantiate
from pcdenoise.datasets.packed import Packed
from pcdenoise.datasets.surfaces import Surface, save
from pcdenoise.errors import InputError


def test_a_file_gives_back_its_surfaces_in_order(tmp_path):
    rng = np.random.default_rng(0)
    normals = np.tile(np.float32([0, 0, 1]), (20, 1))
    wanted = [Surface(name, {20: (rng.random((20, 3)).astype(np.float32), normals)}) for name in ("b", "a")]
    save(wanted, tmp_path / "pack.npz")
    told = []
    source = instantiate({"_target_": "pcdenoise.datasets.packed.Packed", "path": str(tmp_path / "pack.npz")})
    found = source.surfaces(lambda *progress: told.append(progress))
    assert [surface.name for surface in found] == ["b", "a"]
    assert told == [(2, 2, "a")]
    for ours, theirs in zip(found, wanted, strict=True):
        clouds = (np.sort(surface.clouds[20][0], axis=0) for surface in (ours, theirs))
        np.testing.assert_allclose(*clouds, atol=2e-5)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.npz"):
        Packed(tmp_path / "none.npz").surfaces()
