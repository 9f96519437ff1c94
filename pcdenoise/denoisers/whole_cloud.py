"""Cleaning a cloud of any unit and any defects, and saying what was done."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import PointCloud
from pcdenoise.denoisers.method import MethodMover
from pcdenoise.denoisers.mover import Mover
from pcdenoise.denoisers.noise_level import CLEAN, noise_level
from pcdenoise.denoisers.staged import part, told_sigma
from pcdenoise.errors import InputError, UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.normals import plane_normals
from pcdenoise.geometry.rotations import random_rotation

# No true position lies further off, in sigmas that the network was told of: a longer move comes from a neighbourhood
# that it does not know, such as a few points far from all others.
REACH = 6.0
NORMAL_POINTS = 9  # of the planes across which several orientations are averaged
# The more orientations differ, the less their mean counts, half where their deviation is so many sigmas: it may lie
# between the sides of a thin wall.
AGREED = 0.2
# Weaker noise, in spacings, is polished once: there a second time makes it worse on validation shapes.
POLISHED_TWICE = 0.5


@dataclass(frozen=True)
class Quality:
    """How much work is done for a result.

    Attributes:
        passes: at most so many; None for all that the network has.
        rotations: orientations to average over.
    """

    passes: int | None = None
    rotations: int = 1


QUALITIES = {"fast": Quality(passes=1), "balanced": Quality(), "best": Quality(rotations=5)}


@dataclass(frozen=True)
class Report:
    """What was done to a cloud. Lengths are in the cloud's own unit.

    Attributes:
        points: rows of the cloud.
        skipped: rows that are not finite, left as they are.
        spacing: of the input.
        noise_before: blind estimate of the noise per coordinate; `estimated_noise` tells that of the result.
        passes: network passes made; 0 means that the cloud was returned unchanged.
        mean_move, largest_move: displacement.
        seconds: of estimating and denoising, without reading and writing.
        device: where the network ran.
        model: its name.
        note: why a cloud was returned unchanged, else empty.
    """

    points: int
    skipped: int
    spacing: float
    noise_before: float
    passes: int
    mean_move: float
    largest_move: float
    seconds: float
    device: str
    model: str
    note: str


def denoise_with_report(
    cloud: PointCloud,
    denoiser: Mover,
    *,
    quality: str = "balanced",
    passes: str | int = "auto",
    strength: float = 1.0,
    max_move: float | None = None,
    rotations: int | None = None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
    iterate: Callable[[NDArray[np.float64]], None] | None = None,
    model_name: str = "",
) -> tuple[PointCloud, Report]:
    """Clean a cloud and say what was done.

    Args:
        cloud: any unit; rows with NaN or infinity stay where they are.
        denoiser: from `load_model`, or a `MethodMover`.
        quality: `fast`, `balanced` or `best`, see `QUALITIES`; a method that is no network has one alone.
        passes: `auto` (by quality and blind noise estimate; a clean cloud gets none) or a number from 0.
        strength: factor of the displacement, from 0 to 2.
        max_move: the largest displacement, in the cloud's unit.
        rotations: average over so many orientations of the cloud, as it lies and random ones; None goes by quality.
        seed: of the orientations and of what the sampler draws.
        progress: told the share of the work that is done.
        iterate: given the positions (n, 3) after each step of the sampler, in the cloud's unit, before strength and
            max_move; one orientation after the other where several are averaged.
        model_name: for the report.

    Raises:
        InputError: no finite point.
        UsageError: an option out of its range.
        OutOfMemoryError: not even the smallest tile fits into memory.
    """
    if not 0 <= strength <= 2:
        raise UsageError(f"strength is {strength}; give a number from 0 to 2")
    if max_move is not None and not max_move > 0:
        raise UsageError(f"max-move is {max_move}; give a positive length in the cloud's unit")
    if passes != "auto" and not (isinstance(passes, int) and 0 <= passes <= denoiser.passes):
        raise UsageError(f"passes is {passes}; give auto or a number from 0 to {denoiser.passes}")
    if quality not in QUALITIES:
        raise UsageError(f"quality is {quality!r}; give {', '.join(QUALITIES)}")
    if rotations is None:
        rotations = 1 if isinstance(denoiser, MethodMover) else QUALITIES[quality].rotations
    if rotations < 1:
        raise UsageError(f"rotations is {rotations}; give at least 1")
    started = time.perf_counter()
    finite = cloud.finite
    # Points that coincide have no direction between them: they move as one.
    frame, local, inverse = local_points(cloud)
    level = noise_level(local)
    count = passes_for(level, denoiser, quality) if passes == "auto" else int(passes)
    note = ""
    if len(local) <= denoiser.neighbours:
        count = 0
        note = (
            f"the cloud has {len(local)} distinct points and {denoiser.neighbours} neighbours of each count; "
            "it is returned unchanged: give a denser cloud"
        )
    elif passes == "auto" and count == 0:
        note = "no noise was found; the cloud is returned unchanged: force a pass with passes=1"

    def in_world(x: NDArray[np.float64]) -> NDArray[np.float64]:
        # Adding the displacement leaves a point that did not move exactly where it was.
        points = cloud.points.copy()
        points[finite] += (frame.scale * (x - local))[inverse]
        return points

    def step(x: NDArray[np.float64]) -> None:
        if iterate is not None:
            iterate(in_world(x))

    moved = local
    if count and strength:
        sigma = told_sigma(level, len(local))
        target = _average(denoiser, local, sigma, count, rotations, seed, progress, step)
        move = strength * (target - local)
        limit = np.full_like(sigma, np.inf) if isinstance(denoiser, MethodMover) else REACH * sigma
        if max_move is not None:
            limit = np.minimum(limit, max_move / frame.scale)
        length = np.linalg.norm(move, axis=1, keepdims=True)
        moved = local + move * np.minimum(1.0, limit[:, None] / np.maximum(length, np.finfo(float).tiny))
    points = in_world(moved)
    distances = np.linalg.norm(points[finite] - cloud.points[finite], axis=1)
    report = Report(
        points=len(cloud),
        skipped=int((~finite).sum()),
        spacing=frame.scale,
        noise_before=level * frame.scale,
        passes=count,
        mean_move=float(distances.mean()),
        largest_move=float(distances.max()),
        seconds=time.perf_counter() - started,
        device=str(denoiser.device),
        model=model_name,
        note=note,
    )
    return cloud.with_points(points), report


def estimated_noise(cloud: PointCloud) -> float:
    """Blind estimate of the noise per coordinate, in the cloud's own unit.

    Raises:
        InputError: no finite point.
    """
    frame, local, _ = local_points(cloud)
    return noise_level(local) * frame.scale


def local_points(cloud: PointCloud) -> tuple[Frame, NDArray[np.float64], NDArray[np.intp] | slice]:
    """The frame of a cloud, its distinct finite positions there, and the position of each finite row among them.

    Raises:
        InputError: no finite point.
    """
    finite = cloud.points[cloud.finite]
    if len(finite) == 0:
        raise InputError("the cloud has no finite point; check how it was exported")
    distinct, inverse = distinct_points(finite)
    frame = Frame.of(distinct)
    return frame, frame.to_local(distinct), inverse


def passes_for(level: float, denoiser: Mover, quality: str = "balanced") -> int:
    """Passes for a noise of `level` spacings, chosen on the validation shapes."""
    most = denoiser.polished_once if level < POLISHED_TWICE else denoiser.passes
    return 0 if level < CLEAN else min(most, QUALITIES[quality].passes or most)


def _average(
    denoiser: Mover,
    points: NDArray[np.float64],
    sigma: NDArray[np.float64],
    passes: int,
    rotations: int,
    seed: int,
    progress: Callable[[float], None],
    step: Callable[[NDArray[np.float64]], None],
) -> NDArray[np.float64]:
    """Denoised positions, averaged over orientations of the cloud across the surface, see `AGREED`.

    The mean of several even patterns is less even than each of them, so along the surface the first one stands.
    """
    first = denoiser(points, sigma, passes, partial(part, progress, 0, rotations), seed, step)
    if rotations == 1:
        return first
    rng = np.random.default_rng(seed)
    normals = plane_normals(first, NORMAL_POINTS)
    heights = np.zeros((rotations, len(points)))
    for r in range(1, rotations):
        turn = random_rotation(rng)

        def turned_back(x: NDArray[np.float64], turn: NDArray[np.float64] = turn) -> None:
            step(x @ turn.T)

        advance = partial(part, progress, r, rotations)
        moved = denoiser(points @ turn, sigma, passes, advance, seed + r, turned_back) @ turn.T
        heights[r] = ((moved - first) * normals).sum(axis=1)
    agreement = 1 / (1 + heights.var(axis=0) / (AGREED * sigma) ** 2)
    result: NDArray[np.float64] = first + (agreement * heights.mean(axis=0))[:, None] * normals
    step(result)
    return result


def distinct_points(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp] | slice]:
    """Distinct positions in the order of their first row, and the position of each row among them."""
    order = np.lexsort(points.T)
    fresh = np.ones(len(points), dtype=bool)
    fresh[1:] = (np.diff(points[order], axis=0) != 0).any(axis=1)
    if fresh.all():
        return points, slice(None)
    # lexsort is stable: the first of each group is the one with the smallest row
    firsts = order[fresh]
    rank = np.empty(len(firsts), dtype=np.intp)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    inverse = np.empty(len(points), dtype=np.intp)
    inverse[order] = rank[np.cumsum(fresh) - 1]
    return points[np.sort(firsts)], inverse
