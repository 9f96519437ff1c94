"""What noise models have in common, and the one place where their lengths are converted."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh, PointCloud
from pcdenoise.errors import InputError, UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.normals import given_normals

"""Vertices (v, 3) and faces (f, 3)."""

ADDED = -1


class NoisyPoints(NamedTuple):
    """What became of a clean cloud.

    Attributes:
        points: (m, 3) float64, in the unit of the clean ones.
        rows: (m,) int64, the clean row each came from; -1 for a point that was added.
    """

    points: NDArray[np.float64]
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sample:
    """A cloud on its way from clean to noisy, in the unit-sphere frame of the clean one.

    Attributes:
        points: (m, 3) float64.
        rows: (m,) int64, as in `NoisyPoints`.
        normals: (m, 3) unit normals of the clean surface; None where nobody gave them.
        mesh: the clean surface; None where nobody gave it.
    """

    points: NDArray[np.float64]
    rows: NDArray[np.int64]
    normals: NDArray[np.float64] | None = None
    mesh: Mesh | None = None


class NoiseModel(ABC):
    """A noise model is a frozen dataclass of numbers; lengths are relative to the unit sphere of the clean cloud."""

    @property
    def scans_meshes(self) -> bool:
        """Whether a mesh changes what it does."""
        return False

    @abstractmethod
    def corrupt(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample after the noise."""

    def apply(
        self,
        points: NDArray[Any],
        rng: np.random.Generator,
        normals: NDArray[Any] | None = None,
        mesh: Mesh | None = None,
    ) -> NoisyPoints:
        """Noisy points, and which clean row each came from.

        Args:
            points: (n, 3) clean points, finite, in any unit.
            rng: the only source of randomness.
            normals: (n, 3) unit normals; a model that needs them estimates them where they are not given.
            mesh: the surface that the points lie on, in their unit; a model that can looks at it instead.

        Raises:
            InputError: less than two different points, or coordinates not finite.
        """
        points = np.asarray(points, dtype=np.float64)
        frame = Frame.unit_sphere(points)
        local = frame.to_local(points)
        clean = Sample(
            points=local,
            rows=np.arange(len(points)),
            normals=None if normals is None else np.asarray(normals, dtype=np.float64),
            mesh=None if mesh is None else (frame.to_local(mesh[0]), np.asarray(mesh[1])),
        )
        noisy = self.corrupt(clean, rng)
        world = frame.to_world(noisy.points)
        kept = np.flatnonzero(noisy.rows != ADDED)
        rows = noisy.rows[kept]
        # adding the displacement leaves a point without noise exactly where it was
        world[kept] = points[rows] + frame.scale * (noisy.points[kept] - local[rows])
        return NoisyPoints(world, noisy.rows)

    def __call__(self, points: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float64]:
        """Noisy points (m, 3) of clean points (n, 3), in their unit."""
        return self.apply(points, rng).points


class Displacement(NoiseModel):
    """A model that moves points and nothing else: row i out is row i in."""

    @abstractmethod
    def displacements(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float64]:
        """The moves (m, 3) of the sample's points, in the unit-sphere frame."""

    def corrupt(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with each point moved."""
        return replace(sample, points=sample.points + self.displacements(sample, rng))


def check_level(level: float, name: str = "the noise level") -> None:
    """Raises UsageError unless the level is a finite number of at least 0."""
    if not 0 <= level < np.inf:
        raise UsageError(f"{name} is {level}; give a number of at least 0")


def add_noise(
    cloud: PointCloud, model: NoiseModel, rng: np.random.Generator, mesh: Mesh | None = None
) -> tuple[PointCloud, NDArray[np.int64]]:
    """A noisy copy of a cloud with its attributes, and which row each point came from.

    A model that keeps the rows leaves those without coordinates (NaN) in place. One that drops or adds some leaves them
    out; a point that it added has zeros for attributes.

    Args:
        cloud: clean, in any unit; its attribute `normals` is used where a model needs normals.
        model: the noise.
        rng: the only source of randomness.
        mesh: the surface that the points lie on, in their unit.

    Returns:
        The cloud, and rows (m,) as in `NoisyPoints`.

    Raises:
        InputError: less than two different finite points.
    """
    finite = np.flatnonzero(cloud.finite)
    if len(finite) == 0:
        raise InputError("the cloud has no finite point; check how it was exported")
    noisy = model.apply(cloud.points[finite], rng, given_normals(cloud, finite), mesh)
    if np.array_equal(noisy.rows, np.arange(len(finite))):
        points = cloud.points.copy()
        points[finite] = noisy.points
        return cloud.with_points(points), np.arange(len(cloud))
    rows = np.where(noisy.rows == ADDED, ADDED, finite[noisy.rows])
    attributes = {name: values[rows] for name, values in cloud.attributes.items()}
    for values in attributes.values():
        values[rows == ADDED] = np.zeros((), values.dtype)
    # what a file said of its rows (faces, width and height) no longer holds where their number happens to be the same
    metadata = cloud.metadata if len(rows) != len(cloud) else {}
    return PointCloud(noisy.points, attributes, metadata), rows
