import shutil

import pytest

from pcdenoise.bench.entrants import entrants_of
from pcdenoise.denoisers.models import WEIGHTS
from pcdenoise.errors import UsageError


def names(*methods, told=False, meshes=True):
    return [entrant.name for entrant in entrants_of(methods, told=told, meshes=meshes)]


def test_the_floor_comes_first_and_methods_once():
    assert names("laplacian", "identity", "laplacian", "taubin  passes=2") == [
        "identity", "projection", "sampling", "laplacian", "taubin passes=2",
    ]  # fmt: skip
    assert names("laplacian", meshes=False) == ["identity", "laplacian"]
    with pytest.raises(UsageError, match="needs the true mesh"):
        names("projection", meshes=False)


def test_only_methods_that_go_by_the_noise_are_told_it():
    methods = ("laplacian", "statistical_outliers", "edgeconv")
    assert names(*methods, told=True)[3:] == ["laplacian", "laplacian (told)", "statistical_outliers", "edgeconv"]


def test_weights_are_known_by_their_file(tmp_path):
    path = shutil.copy(WEIGHTS / "edgeconv.safetensors", tmp_path / "mine.safetensors")
    shipped, mine = entrants_of(["edgeconv", str(path)], told=False, meshes=False)[1:]
    assert (shipped.name, mine.name, mine.config["model"]) == ("edgeconv", "mine", str(path))
    assert shipped.parameters == mine.parameters > 1000
    path.write_bytes((WEIGHTS / "paired_dsm.safetensors").read_bytes())
    (changed,) = entrants_of([str(path)], told=False, meshes=False)[1:]
    assert changed.fingerprint != mine.fingerprint
    twin = str(WEIGHTS / "edgeconv.safetensors")
    assert names("edgeconv", twin, meshes=False) == ["identity", "edgeconv", twin]
