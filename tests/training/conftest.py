"""A small run of everything: networks, clouds and a configuration that trains in a second."""

import csv

import pytest

from pcdenoise.config import compose
from pcdenoise.training.patches import CleanCloud

SMALL_RUN = [
    "dataset.count=3", "dataset.resolutions=[2000]", "dataset.meshes=false", "holdout=1", "network.channels=16",
    "network.blocks=[1,1]", "network.neighbours=12", "network.neighbourhoods=[4,12]", "patches.points=256",
    "patches.patches=2", "validation.resolution=2000", "validation.levels=[0.03]", "device=cpu", "log_every=1",
]  # fmt: skip


@pytest.fixture(scope="session")
def cloud(sphere):
    return CleanCloud(sphere, sphere, "sphere")


@pytest.fixture(scope="session")
def words(tmp_path_factory):
    """Overrides of a small run; its shapes are made once."""
    return [*SMALL_RUN, f"dataset.cache_dir={tmp_path_factory.mktemp('cache')}"]


@pytest.fixture(scope="session")
def configured(words):
    """The configuration of a small run, with further overrides."""
    return lambda output, *more: compose("train", [*words, f"output={output}", *more])


@pytest.fixture(scope="session")
def rows():
    """What stands in a log."""

    def read(path):
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    return read
