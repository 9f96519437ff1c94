import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from layouts import CUBE, write_off
from scipy.spatial import cKDTree

from pcdenoise.datasets.modelnet import ModelNet, each_place_once
from pcdenoise.errors import InputError, UsageError

TEN = ["bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet"]


def write_models(raw: Path) -> None:
    """The ten categories with two cubes to train on and one to test with; the first chair is what one gets."""
    for i, category in enumerate(TEN):
        for split, number in (("train", 1), ("train", 2), ("test", 3)):
            path = raw / category / split / f"{category}_{number:04d}.off"
            write_off(path, CUBE[0] * [1, 1, 1 + i + 0.1 * number], CUBE[1])
    broken(raw / "chair/train/chair_0001.off")


def broken(path: Path) -> None:
    """A cube without its top whose faces come twice, once turned, with slivers, a far corner that no face has, and no
    line break after OFF."""
    vertices, faces = CUBE
    open_faces = faces[(vertices[faces][:, :, 2] < 1).any(axis=1)]
    again = vertices.copy()
    corners = np.concatenate([vertices, again, [[90.0, 0, 0], [95.0, 0, 0]]])
    slivers = [[0, 0, 1], [len(corners) - 1, len(corners) - 2, len(corners) - 1]]
    write_off(path, corners, np.concatenate([open_faces, open_faces[:, ::-1] + len(vertices), slivers]))
    path.write_text(path.read_text().replace("OFF\n", "OFF", 1))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_models(tmp_path / "raw")
    return tmp_path


def test_names_counts_and_categories(root: Path) -> None:
    everything = ModelNet(root, resolutions=(50,)).surfaces()
    assert [surface.name for surface in everything] == [f"{c}/{c}_{n:04d}" for c in TEN for n in (1, 2)]
    in_turn = ModelNet(root, count=12, resolutions=(50,)).surfaces()
    assert [surface.name for surface in in_turn] == [
        *[f"{c}/{c}_0001" for c in TEN],
        "bathtub/bathtub_0002",
        "bed/bed_0002",
    ]
    (chair,) = ModelNet(root, split="test", categories=("chair",), resolutions=(50, 70), meshes=True).surfaces()
    assert chair.name == "chair/chair_0003"
    assert [points.shape for points, _ in chair.clouds.values()] == [(50, 3), (70, 3)]
    assert chair.mesh is not None


def test_the_layout_is_that_of_torch_geometric(root: Path) -> None:
    from torch_geometric.datasets import ModelNet as Reference

    models = Reference(str(root), "10", train=True)
    assert len(models) == len(ModelNet(root, resolutions=(20,)).surfaces())


def test_an_open_mesh_of_doubled_faces_is_sampled_evenly(root: Path) -> None:
    (chair, *_) = ModelNet(root, categories=("chair",), resolutions=(2000,)).surfaces()
    points, normals = chair.clouds[2000]
    assert points.shape == (2000, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-5)
    side = 1 / np.sqrt(3)  # the far corner has no part in the unit sphere
    np.testing.assert_allclose(np.abs(points).max(axis=0), side, rtol=1e-3)
    assert (points[:, 2] < side - 1e-3).all() or (np.abs(points[:, :2]).max(axis=1) > side - 1e-3)[
        points[:, 2] > side - 1e-3
    ].all()
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    assert nearest.min() > 0.5 * np.sqrt(5 * (2 * side) ** 2 / 2000)


def test_each_place_once(tmp_path: Path) -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [2.0, 0, 0]])
    faces = np.array([[0, 1, 2], [2, 3, 0], [0, 1, 4], [1, 1, 2], [1, 4, 2]])
    places, kept = each_place_once(vertices, faces)
    assert len(places) == 4
    area = sorted(0.5 * np.linalg.norm(np.cross(*(places[f][1:] - places[f][0]))) for f in kept)
    assert area == [0.5, 0.5]
    with pytest.raises(InputError, match="no area"):
        each_place_once(vertices, faces[2:4])


def test_a_model_that_cannot_be_sampled_is_left_out(root: Path) -> None:
    write_off(root / "raw/sofa/train/sofa_0001.off", CUBE[0], CUBE[1][:0])
    (root / "raw/sofa/train/sofa_0002.off").write_text("OFF\n3 1 0\n0 0\n")
    with pytest.warns(UserWarning, match=r"sofa_000\d is left out"):
        assert len(ModelNet(root, resolutions=(20,)).surfaces()) == 18
    with pytest.raises(InputError, match="none of the 2 models"), pytest.warns(UserWarning, match="left out"):
        ModelNet(root, categories=("sofa",), resolutions=(20,)).surfaces()


def test_the_download_is_torch_geometrics_and_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch_geometric.datasets.modelnet as reference

    write_models(tmp_path / "there" / "ModelNet10")
    asked = []

    def download(url: str, folder: str) -> str:
        asked.append(url)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for path in (tmp_path / "there").rglob("*.off"):
                file.write(path, path.relative_to(tmp_path / "there"))
        target = Path(folder) / "ModelNet10.zip"
        target.write_bytes(archive.getvalue())
        return str(target)

    monkeypatch.setattr(reference, "download_url", download)
    monkeypatch.setattr(reference.ModelNet, "process", lambda self: pytest.fail("parsing all models takes hours"))
    for _ in range(2):
        assert len(ModelNet(tmp_path / "here", resolutions=(20,)).surfaces()) == 20
    assert asked == [reference.ModelNet.urls["10"]]


def test_messages(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no ModelNet20"):
        ModelNet(root, name="20")
    with pytest.raises(UsageError, match="no split"):
        ModelNet(root, split="val")
    with pytest.raises(InputError, match=r"has no teapot; choose from bathtub, bed"):
        ModelNet(root, categories=("teapot",)).surfaces()
    with pytest.raises(InputError, match="10 of 40 categories"):
        ModelNet(root, name="40").surfaces()

    def offline(url: str, folder: str) -> str:
        raise OSError("no network")

    monkeypatch.setattr("torch_geometric.datasets.modelnet.download_url", offline)
    with pytest.raises(InputError, match=r"cannot be downloaded \(no network\); get http.*ModelNet10\.zip by hand"):
        ModelNet(tmp_path / "empty").surfaces()


def test_torch_geometric_is_loaded_for_downloads_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    monkeypatch.setitem(sys.modules, "torch_geometric.datasets", None)
    assert len(ModelNet(root, count=1, resolutions=(20,)).surfaces()) == 1
