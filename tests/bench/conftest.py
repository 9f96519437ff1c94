"""A round shape of our own, and methods that count how often they are called."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import trimesh

from pcdenoise.bench.entrants import Entrant
from pcdenoise.bench.scenes import Condition, conditions_of, noisy_scenes
from pcdenoise.datasets.surfaces import sample_surface

POINTS = 120  # too few for the tests of residuals, which take the most time


@dataclass
class Towards:
    """Moves each point by a share of the way to the unit sphere, and remembers for whom."""

    share: float = 1.0
    calls: list = field(default_factory=list)
    source: ClassVar[str] = "a test"
    needs: ClassVar[frozenset] = frozenset()

    def __call__(self, points, sigma=None, mesh=None, seed=0):
        if len(points) == POINTS:
            self.calls.append((sigma, mesh is not None, seed))
        return points + self.share * (points / np.linalg.norm(points, axis=1, keepdims=True) - points)


@pytest.fixture(autouse=True)
def small_warm_up(monkeypatch):
    """A method's first call, on a part of the cloud, does not count."""
    monkeypatch.setattr("pcdenoise.bench.runner.WARM", POINTS // 2)


@pytest.fixture
def towards():
    return Towards


@pytest.fixture(scope="session")
def ball():
    """Two surfaces: a ball, and a flat one."""
    sphere = trimesh.creation.icosphere(subdivisions=2)
    flat = np.asarray(sphere.vertices) * [1, 1, 0.3]
    rng = np.random.default_rng(0)
    return [
        sample_surface(name, vertices, np.asarray(sphere.faces), [POINTS], rng, keep_mesh=True)
        for name, vertices in {"ball": np.asarray(sphere.vertices), "flat": flat}.items()
    ]


@pytest.fixture
def scenes(ball):
    """Both shapes at two levels."""
    return list(noisy_scenes(ball, ["ball", "flat"], conditions_of(["gaussian"], [0.01, 0.03], [POINTS]), [0]))


@pytest.fixture
def entrant():
    """A named method, with what its configuration would be."""

    def make(name, method, **options):
        return Entrant.of(name, {"name": name, **options.pop("config", {})}, method, **options)

    return make


@pytest.fixture
def condition():
    return Condition(POINTS, "gaussian", 0.01)
