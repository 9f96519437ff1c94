"""`Surface`: a clean shape as training sees it, and the file in which many of them travel.

The file is one compressed `.npz`. Points are sorted along a space-filling curve, quantised to 16 bits a coordinate over
[-RANGE, RANGE] (steps of 3e-5 of the radius, the spacing of 50,000 points is about 500 steps) and stored as
differences; normals take two bytes (octahedral map, about half a degree). Sixty shapes of 10,000 + 30,000 + 50,000
points need about 28 MB, 35 MB with their meshes.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.unit_sphere import bounding_sphere
from pcdenoise.errors import InputError, OutputError
from pcdenoise.geometry.morton import morton_codes
from pcdenoise.geometry.sampling import poisson_disk

FORMAT = 2
RANGE = 1.02
RESOLUTIONS = (10_000, 30_000, 50_000)

Cloud = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Points (n, 3) and unit normals (n, 3)."""

Progress = Callable[[int, int, str], None]
"""Called with the number of finished surfaces, their total and the name of the last one."""


@dataclass(frozen=True)
class Surface:
    """A clean shape in the unit sphere (bounding-box midpoint 0, largest radius 1).

    Attributes:
        name: unique within its set.
        clouds: number of points -> points and unit normals, evenly (Poisson-disk) sampled.
        mesh: vertices (v, 3) float32 and faces (f, 3) int32 in the same frame, where kept.
    """

    name: str
    clouds: dict[int, Cloud]
    mesh: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None


class SurfaceSource(Protocol):
    """What a data set for training offers; its constructor is its configuration."""

    def surfaces(self, progress: Progress | None = None) -> list[Surface]:
        """All surfaces, from the cache where there is one."""
        ...


def sample_surface(
    name: str,
    vertices: NDArray[Any],
    faces: NDArray[Any],
    resolutions: Sequence[int],
    rng: np.random.Generator,
    keep_mesh: bool = False,
) -> Surface:
    """Normalise a mesh and sample it with each number of points.

    Args:
        name: name of the surface.
        vertices: (v, 3) in any unit.
        faces: (f, 3) vertex indices.
        resolutions: numbers of points.
        rng: the only source of randomness.
        keep_mesh: keep the normalised mesh with the clouds.
    """
    centre, radius = bounding_sphere(vertices[np.unique(faces)])
    vertices = (vertices - centre) / radius
    clouds = {}
    for n in resolutions:
        points, normals = poisson_disk(vertices, faces, n, rng)
        clouds[n] = points.astype(np.float32), normals.astype(np.float32)
    return Surface(name, clouds, (vertices.astype(np.float32), faces.astype(np.int32)) if keep_mesh else None)


def save(surfaces: Sequence[Surface], path: str | os.PathLike[str]) -> None:
    """Write surfaces into one `.npz` file, which appears whole or not at all.

    Raises:
        OutputError: the folder cannot be made or written to.
        InputError: two surfaces have the same name, or points lie outside the unit sphere.
    """
    names = [surface.name for surface in surfaces]
    if len(set(names)) != len(names):
        raise InputError("two surfaces have the same name; rename one")
    arrays = {"index": np.array(json.dumps({"format": FORMAT, "names": names}))}
    for i, surface in enumerate(surfaces):
        arrays |= {f"{i}/{key}": value for key, value in _encode(surface).items()}
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
            try:
                np.savez_compressed(file, allow_pickle=False, **arrays)
                file.close()
                Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}; choose another folder") from error


def load(path: str | os.PathLike[str]) -> list[Surface]:
    """Read what `save` wrote.

    Raises:
        InputError: the file is missing, damaged or no file of surfaces.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            index = json.loads(str(file["index"]))
            if index["format"] != FORMAT:
                raise InputError(f"{path} has format {index['format']}, this version reads {FORMAT}; build it again")
            arrays: list[dict[str, NDArray[Any]]] = [{} for _ in index["names"]]
            for key in file.files:
                if key != "index":
                    number, _, rest = key.partition("/")
                    arrays[int(number)][rest] = file[key]
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}; check the path or build it first") from error
    except (OSError, KeyError, ValueError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a file of surfaces, or it is damaged: {error}; build it again") from error
    return [_decode(name, parts) for name, parts in zip(index["names"], arrays, strict=True)]


def cached(
    parameters: Mapping[str, Any], cache_dir: str | os.PathLike[str] | None, build: Callable[[], list[Surface]]
) -> list[Surface]:
    """The surfaces that `build` makes, read from a file in `cache_dir` if the same parameters were built before.

    The file is named by a SHA-256 of the parameters. A file that cannot be read is built anew. The result is the same
    with and without a cache: fresh surfaces pass through the file's quantisation, too.

    Args:
        parameters: all that the result depends on; JSON types.
        cache_dir: folder, made where missing; None builds without a cache.
        build: makes the surfaces.
    """
    if cache_dir is None:
        return [_decode(surface.name, _encode(surface)) for surface in build()]
    described = json.dumps({"format": FORMAT, **parameters}, sort_keys=True)
    path = Path(cache_dir) / f"surfaces-{hashlib.sha256(described.encode()).hexdigest()[:20]}.npz"
    if path.exists():
        try:
            return load(path)
        except InputError:
            path.unlink()
    save(build(), path)
    return load(path)


def content_hash(path: Path) -> str:
    """SHA-256 of a file, for `cached` parameters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _encode(surface: Surface) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for n, (points, normals) in surface.clouds.items():
        if not np.abs(points).max(initial=0) <= RANGE:
            raise InputError(f"surface {surface.name!r} leaves the unit sphere; normalise it first")
        steps = np.rint(points * (32767 / RANGE)).astype(np.int16)
        order = np.argsort(morton_codes(steps.astype(np.int64) + 32768), kind="stable")
        arrays[f"points/{n}"] = _planes(_difference(steps[order]))
        arrays[f"normals/{n}"] = _difference(_octahedral(normals[order]))
    if surface.mesh is not None:
        arrays["vertices"] = _planes(_difference(surface.mesh[0].view(np.int32)))
        arrays["faces"] = _planes(_difference(surface.mesh[1]))
    return arrays


def _decode(name: str, arrays: Mapping[str, NDArray[Any]]) -> Surface:
    clouds: dict[int, Cloud] = {}
    for key, packed in arrays.items():
        kind, _, n = key.partition("/")
        if kind == "points":
            steps = _accumulate(_joined(packed, np.int16))
            points = steps.astype(np.float32) * np.float32(RANGE / 32767)
            clouds[int(n)] = points, _from_octahedral(_accumulate(arrays[f"normals/{n}"]))
    if "vertices" not in arrays:
        return Surface(name, clouds)
    vertices, faces = (_accumulate(_joined(arrays[part], np.int32)) for part in ("vertices", "faces"))
    return Surface(name, clouds, (vertices.view(np.float32), faces))


def _difference(rows: NDArray[Any]) -> NDArray[Any]:
    """(n, c) integers -> (c, n) differences along n, modulo their width."""
    return np.ascontiguousarray(np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1])).T)


def _accumulate(differences: NDArray[Any]) -> NDArray[Any]:
    """The inverse of `_difference`."""
    return np.ascontiguousarray(np.cumsum(differences, axis=1, dtype=differences.dtype).T)


def _planes(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """(3, n) integers of b bytes -> (b, 3 n): all lowest bytes first, which compresses better."""
    return np.ascontiguousarray(rows.view(np.uint8).reshape(rows.size, -1).T)


def _joined(planes: NDArray[np.uint8], dtype: type[np.signedinteger[Any]]) -> NDArray[Any]:
    """The inverse of `_planes`."""
    return np.ascontiguousarray(planes.T).view(dtype).reshape(3, -1)


def _octahedral(normals: NDArray[np.float32]) -> NDArray[np.int8]:
    """Unit vectors (n, 3) -> (n, 2): projected onto an octahedron whose lower half is folded over the upper one.

    Cigolle et al., A survey of efficient representations for independent unit vectors (JCGT 2014).
    """
    flat = normals / np.maximum(np.abs(normals).sum(axis=1, keepdims=True), 1e-20)
    folded = np.where(flat[:, 2:] < 0, (1 - np.abs(flat[:, 1::-1])) * np.where(flat[:, :2] < 0, -1, 1), flat[:, :2])
    codes: NDArray[np.int8] = np.rint(folded * 127).astype(np.int8)
    return codes


def _from_octahedral(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """The inverse of `_octahedral`, up to half a degree."""
    flat = codes.astype(np.float32) / 127
    z = 1 - np.abs(flat).sum(axis=1, keepdims=True)
    unfolded = np.where(z < 0, (1 - np.abs(flat[:, ::-1])) * np.where(flat < 0, -1, 1), flat)
    vectors = np.concatenate([unfolded, z], axis=1)
    normals: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return normals
