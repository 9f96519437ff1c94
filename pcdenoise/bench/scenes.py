"""The noisy clouds of a benchmark, each with its truth."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh
from pcdenoise.datasets.noise_models import NoiseModel, noise_config, noise_model
from pcdenoise.datasets.pairs import Pair
from pcdenoise.datasets.surfaces import Surface
from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame

FILES = "files"  # in place of a noise model: the noisy clouds that the data set has itself


@dataclass(frozen=True, order=True)
class Condition:
    """One column of a table.

    Attributes:
        resolution: points of the clean clouds; 0 where each has its own number.
        noise: the words that the noise model was asked for with.
        level: of the noise, relative to the unit sphere; None for a model without one.
    """

    resolution: int
    noise: str
    level: float | None

    def __str__(self) -> str:
        n = self.resolution
        points = f"{n // 1000}K " if n and n % 1000 == 0 else f"{n} " if n else ""
        return f"{points}{self.noise}" + ("" if self.level is None else f" {100 * self.level:g} %")


@dataclass(frozen=True, eq=False)
class Scene:
    """A noisy cloud, and all that is known about it.

    Attributes:
        shape: name of the surface.
        condition: resolution, noise and level.
        seed: of the noise, and of what a method draws.
        clean: (m, 3).
        normals: (m, 3) unit normals of the clean points.
        mesh: the surface, where there is one.
        noisy: (n, 3), in the same unit.
        sigma: noise per coordinate, in that unit: what a method is told, if it is told.
    """

    shape: str
    condition: Condition
    seed: int
    clean: NDArray[np.float64]
    normals: NDArray[np.float64]
    mesh: Mesh | None
    noisy: NDArray[np.float64]
    sigma: float

    @cached_property
    def fingerprint(self) -> str:
        """Of all its numbers: another cloud, mesh, noise or seed has another one."""
        digest = hashlib.sha256()
        for part in (self.clean, self.noisy, *(self.mesh or ())):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


def conditions_of(
    noises: Sequence[str], levels: Sequence[float], resolutions: Sequence[int] | None
) -> dict[Condition, NoiseModel]:
    """Each combination, with its noise model.

    Args:
        noises: names of noise models, each followed by values of its own, as in `outliers share=0.1`.
        levels: relative to the unit sphere, for those models that have one.
        resolutions: numbers of points; None for clouds as they are.

    Raises:
        UsageError: no such model, or a value that it does not take.
    """
    found: dict[Condition, NoiseModel] = {}
    for n, noise in product(resolutions or (0,), noises):
        name, *words = noise.split()
        if _has_level(name, words):
            found |= {Condition(n, noise, level): noise_model(name, level, words) for level in levels}
        else:
            found[Condition(n, noise, None)] = noise_model(name, None, words)
    return found


def _has_level(name: str, words: Sequence[str]) -> bool:
    noise_config(name, None, words)  # whatever else is wrong with it is said first
    try:
        noise_config(name, 0.01, words)
    except UsageError:
        return False
    return not any(word.startswith("level=") for word in words)


def noisy_scenes(
    surfaces: Sequence[Surface], shapes: Sequence[str], models: dict[Condition, NoiseModel], seeds: Sequence[int]
) -> Iterator[Scene]:
    """Clean clouds with noise of their own: each shape under each condition with each seed.

    The generator of the noise is seeded by the shape's place in the data set, resolution, level and seed (seed 0 is
    left out), so a choice of shapes does not change their noise.

    Args:
        surfaces: of the whole data set.
        shapes: names of those that are wanted.
        models: from `conditions_of`.
        seeds: of the noise.
    """
    for (condition, model), seed in product(models.items(), seeds):
        for index, surface in enumerate(surfaces):
            if surface.name not in shapes:
                continue
            points, normals = surface.clouds[condition.resolution or next(iter(surface.clouds))]
            clean = points.astype(np.float64)
            entropy = [index, condition.resolution, round(1e4 * (condition.level or 0)), *([seed] if seed else [])]
            noisy, rows = model.apply(clean, np.random.default_rng(entropy), normals, surface.mesh)
            kept = rows >= 0
            moves = noisy[kept] - clean[rows[kept]]
            yield Scene(
                shape=surface.name,
                condition=condition,
                seed=seed,
                clean=clean,
                normals=normals.astype(np.float64),
                mesh=surface.mesh,
                noisy=noisy,
                sigma=float(np.sqrt(np.mean(moves**2))) if kept.any() else 0.0,
            )


def measured_scenes(pairs: Sequence[Pair], surfaces: Sequence[Surface], shapes: Sequence[str]) -> Iterator[Scene]:
    """The noisy clouds that a data set has itself; one condition for each folder of them.

    Args:
        pairs: of the data set.
        surfaces: of the same one, for their meshes.
        shapes: names of those that are wanted.
    """
    known = {surface.name: surface for surface in surfaces}
    for pair in pairs:
        if pair.shape in shapes:
            folder = pair.name.rpartition("/")[0]
            yield Scene(
                shape=pair.shape,
                condition=Condition(0, f"{FILES} {folder}".strip(), None),
                seed=0,
                clean=pair.clean,
                normals=pair.normals,
                mesh=_mesh_of(known[pair.shape], len(pair.clean)) if pair.shape in known else None,
                noisy=pair.noisy,
                sigma=pair.sigma,
            )


def _mesh_of(surface: Surface, points: int) -> Mesh | None:
    """The mesh in the unit sphere of its clean cloud, where pairs are, and not in its own."""
    if surface.mesh is None or points not in surface.clouds:
        return None
    vertices, faces = surface.mesh
    local: NDArray[Any] = Frame.unit_sphere(surface.clouds[points][0].astype(np.float64)).to_local(vertices)
    return local, faces
