"""How a chain of stages is run over a cloud, whatever computes the stages.

Nothing here needs torch, which takes longer to import than a cloud takes to denoise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.tiling import is_memory
from pcdenoise.geometry.neighbours import build_tree, query_tree
from pcdenoise.geometry.noise import scattered
from pcdenoise.geometry.subsets import subsets_apart
from pcdenoise.networks.stage_plan import StagePlan
from pcdenoise.relaxation import relax_tangentially

Progress = Callable[[float], None]
Turns = Sequence[tuple[int, int, int]]

# A network told of less noise than there is leaves some; told of more, it takes shape away, thin walls above all. The
# denser a cloud samples its shape, the smoother it looks, and the more the estimate falls short. Chosen on validation
# shapes and on procedural ones with thin walls, of 10,000 and 50,000 points.
SPARSE, DENSE = 10_000, 50_000
TOLD_SPARSE, TOLD_DENSE = 0.9, 1.0  # the share of the estimate that is told first
# Between the sides of a thin wall a point is nearer to some surface than to the place that it came from. Where the
# first stage moves points by much less than the noise has, there are such walls: told less, it leaves them open. Where
# it moves them further, there are none, and it is told more. Root mean square moves over the estimate, and factors of
# what is told.
AGAIN_SPARSE = np.array([[0.84, 0.88, 0.91, 0.95, 1.0], [0.95, 1.0, 1.0, 1.02, 1.12]])
AGAIN_DENSE = np.array([[0.95, 0.975, 1.0, 1.03, 1.06], [0.87, 1.0, 1.07, 1.07, 1.07]])
RAISED = 0.45  # spacings; of weaker noise no more is told
# Noise without tails, such as that in a ball, moves the points of dense clouds by less than is estimated, too, and its
# estimate falls short. Walls make the tails longer. Where the mean fourth power of the moves is below so many squares
# of the mean square, the first stage is asked by estimates raised so many times: told too little it leaves noise, told
# more than there is it moves points no further, so they move furthest over the estimate where that is right. Of those
# where they move nearly as far the largest counts.
BOUNDED, RAISES, NEARLY = 2.78, (1.1, 1.2, 1.3, 1.4), 0.99
# Weak noise moves points like that even if it is Gaussian, but no less than is estimated: where they move so far, there
# are to be so few squares, or nothing more is asked.
AS_ESTIMATED, SHARPLY_BOUNDED = 1.0, 2.3
# In a cloud larger than so many patches, with so many points for each subset, the inner points of these are asked.
PATCHES, PATCH_POINTS, CORE = 16, 4096, 0.5
AS_IT_LIES, HALF_TURN = (1, 1, 1), (1, -1, -1)  # orientations, as signs of the coordinates
SPREAD_WHOLLY = 0.75  # spacings; after weaker noise the last spreading is shorter, see below
LEAST_SIGMA = 0.08  # below, in spacings, there was hardly any training


def told_sigma(estimate: float, n: int) -> NDArray[np.float64]:
    """The noise (n,) that a network is told of, for a blind estimate in spacings.

    Of 10,000 points and less nine tenths of it, of 50,000 and more all, and in between by a straight line over log n.
    What the first stage finds then corrects it.
    """
    return np.full(n, max(_share(n) * estimate, LEAST_SIGMA))


def _share(n: int) -> float:
    return TOLD_SPARSE + _density(n) * (TOLD_DENSE - TOLD_SPARSE)


def _density(n: int) -> float:
    """0 for a sparse cloud, 1 for a dense one, in between by log n."""
    return float(np.interp(np.log(n), np.log([SPARSE, DENSE]), [0.0, 1.0]))


def estimate_behind(told: float, n: int) -> float:
    """The estimate, in spacings, for which a network is told so much of a cloud of n points."""
    return told / _share(n)


def told_again(moves: NDArray[np.float64], n: int) -> float:
    """Factor of what a network was told first, by how far its first stage moved the points: see `AGAIN_SPARSE`.

    Args:
        moves: (m,) lengths over the estimate.
        n: points of the cloud.
    """
    moved = _root_mean_square(moves)
    if not np.isfinite(moved):
        return 1.0
    return float(np.interp(moved, *(AGAIN_SPARSE + _density(n) * (AGAIN_DENSE - AGAIN_SPARSE))))


def is_bounded(moves: NDArray[np.float64], n: int) -> bool:
    """Whether the noise of a cloud of n points has no tails, by how far its points move (m,): see `BOUNDED`."""
    return n > SPARSE and _kurtosis(moves) < BOUNDED


def may_fall_short(moves: NDArray[np.float64]) -> bool:
    """Whether noise without tails may be stronger than estimated: see `AS_ESTIMATED`."""
    return _root_mean_square(moves) < AS_ESTIMATED or _kurtosis(moves) < SHARPLY_BOUNDED


def raised_by(moves: Mapping[float, NDArray[np.float64]], n: int) -> float:
    """Factor of the estimate of noise without tails in a cloud of n points: see `BOUNDED`.

    Args:
        moves: by factor, lengths (m,) over the estimate raised by it.
    """
    moved = {factor: _root_mean_square(its) for factor, its in moves.items()}
    raised = max(factor for factor, its in moved.items() if its >= NEARLY * max(moved.values()))
    return float(np.interp(_density(n), [0.0, 1.0], [1.0, raised]))


def _kurtosis(moves: NDArray[np.float64]) -> float:
    return float((moves**4).mean() / (moves**2).mean() ** 2)


def _root_mean_square(moves: NDArray[np.float64]) -> float:
    return float(np.sqrt((moves**2).mean()))


class Tiles(Protocol):
    """A cloud in tiles, such as `pcdenoise.denoisers.tiling.Tiling`."""

    def run(
        self,
        evaluate: Callable[[Any], tuple[NDArray[Any], ...]],
        outputs: tuple[NDArray[Any], ...],
        progress: Progress,
    ) -> None: ...


class TiledGraphs:
    """The graphs of a cloud, tile by tile; one of all points stays for when they are asked again.

    Args:
        count: points of the cloud.
        tiling: its tiles.
        build: the graph of a tile.
    """

    def __init__(self, count: int, tiling: Tiles, build: Callable[[Any], Any]) -> None:
        self.count, self._tiling, self._build = count, tiling, build
        self._whole: tuple[Any, Any] | None = None

    def run(
        self,
        evaluate: Callable[[Any, Any], tuple[NDArray[Any], ...]],
        outputs: tuple[NDArray[Any], ...],
        progress: Progress,
    ) -> None:
        """`pcdenoise.denoisers.tiling.run_in_tiles` over the cloud, `evaluate` given a tile and its graph."""

        def asked(tile: Any) -> tuple[NDArray[Any], ...]:
            graph = self._build(tile)
            answers = evaluate(tile, graph)
            if len(tile.rows) == self.count:
                self._whole = tile, graph
            return answers

        if self._whole is not None:
            tile, graph = self._whole
            try:
                answers = evaluate(tile, graph)
            except (MemoryError, RuntimeError) as error:
                if not is_memory(error):
                    raise
                self._whole = None
            else:
                for output, answer in zip(outputs, answers, strict=True):
                    output[tile.rows] = answer
                progress(1.0)
                return
        self._tiling.run(asked, outputs, progress)


class Stages(Protocol):
    """The networks of the stages, numbered from 0, wherever they run."""

    def graphs(self, stage: int, points: NDArray[np.float64], noisy: NDArray[np.float64] | None = None) -> TiledGraphs:
        """The graphs that a stage looks at, of points (n, 3); `noisy` is where they were before the first stage."""
        ...

    def ask(
        self,
        stage: int,
        graphs: TiledGraphs,
        sigma: NDArray[np.float64],
        progress: Progress,
        received: NDArray[np.float32] | None = None,
        turns: Turns = (AS_IT_LIES,),
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Displacement (n, 3), the mean over some orientations, and features handed on, those of the last of them.

        Told the noise sigma (n,) in the unit of the points; all but the first stage are given the features that one
        before has handed on.
        """
        ...


@dataclass(frozen=True)
class StagedRun:
    """Where the leading stages put the points of a cloud.

    Args:
        plan: of the stages.
        stages: their networks.
        relaxation, walls, half_turn: see `pcdenoise.denoisers.learned.LearnedDenoiser`.
    """

    plan: StagePlan
    stages: Stages
    relaxation: float
    walls: bool
    half_turn: bool

    def __call__(
        self, noisy: NDArray[np.float64], sigma: NDArray[np.float64], passes: int, progress: Progress
    ) -> NDArray[np.float64]:
        """Positions (n, 3) of points `noisy` with noise sigma (n,), both in units of the cloud's spacing."""
        plan, last = self.plan, self.plan.last
        points, received = noisy, None
        for p in range(passes):
            stage = min(p, last)
            share = plan.shares[stage]
            if share < 1:
                limit = self.relaxation * (share if p > last else plan.limits[p])
                points = relax_tangentially(points, limit * sigma)
            running = partial(part, progress, p, passes)
            if p == 0:
                sigma, wanted, move, handed_on = self._first(points, sigma, passes == 1, running)
            else:
                apart = subsets_apart(points, round(plan.stage_subsets(p, wanted, len(points))))
                graphs = self.stages.graphs(stage, points + apart, noisy + apart)
                turned = self.half_turn and share < 1 and p >= last
                turns = (AS_IT_LIES, HALF_TURN) if turned else (AS_IT_LIES,)
                move, handed_on = self.stages.ask(stage, graphs, share * sigma, running, received, turns)
            if p < min(plan.leading, last):
                received = handed_on
            points = points + np.where(np.isfinite(move).all(axis=1, keepdims=True), move, 0.0)
        return points

    def _first(
        self, points: NDArray[np.float64], sigma: NDArray[np.float64], hasty: bool, progress: Progress
    ) -> tuple[NDArray[np.float64], float, NDArray[np.float32], NDArray[np.float32]]:
        """The noise that all stages are told, the subsets of the first one, and its answer: see `AGAIN_SPARSE`.

        In haste a sparse cloud is not told more: it would take half as long again.
        """
        n, estimate = len(points), estimate_behind(float(np.median(sigma)), len(points))  # sigma is in spacings
        wanted = self.plan.subsets(estimate, n)
        whole = _AskedInSubsets(self.stages, points)
        if not self.walls:
            return sigma, wanted, *whole(sigma, wanted, progress)
        patch = PATCH_POINTS * max(_whole_numbers(wanted))
        answers = {}
        if at_once := n <= PATCHES * patch:
            answers[1.0, 1.0] = whole(sigma, wanted, partial(part, progress, 0, 2))
        else:
            _, patches = query_tree(build_tree(points), scattered(points, PATCHES), patch)

        def moves(raised: float) -> NDArray[np.float64]:
            """Lengths over the estimate, if that is raised; of large clouds in the patches."""
            subsets = self.plan.subsets(raised * estimate, n)
            if at_once:
                if (raised, raised) not in answers:
                    answers[raised, raised] = whole(raised * sigma, subsets, lambda done: None)
                move, _ = answers[raised, raised]
            else:
                inner = [self._inner_moves(points[rows], raised * sigma[rows], subsets) for rows in patches]
                move = np.concatenate(inner)
            lengths: NDArray[np.float64] = np.linalg.norm(move.astype(np.float64), axis=1)
            return lengths / (raised * estimate)

        first = moves(1.0)
        told, corrected = told_again(first, n), 1.0
        if is_bounded(first, n):
            raises = RAISES if estimate >= RAISED and may_fall_short(first) else ()
            by_raise = {1.0: first} | {raised: moves(raised) for raised in raises}
            told = corrected = max(told, raised_by(by_raise, n))
        if told > 1 and (estimate < RAISED or (hasty and n <= SPARSE)):
            told = corrected = 1.0
        sigma, wanted = told * sigma, self.plan.subsets(corrected * estimate, n)
        answer = answers.get((told, corrected)) or whole(sigma, wanted, partial(part, progress, at_once, 1 + at_once))
        return sigma, wanted, *answer

    def _inner_moves(
        self, patch: NDArray[np.float64], sigma: NDArray[np.float64], subsets: float
    ) -> NDArray[np.float32]:
        """Where the first stage moves the inner points of a patch, which come first."""
        move, _ = _AskedInSubsets(self.stages, patch)(sigma, subsets, lambda done: None)
        return move[: round(CORE * len(patch))]


@dataclass
class _AskedInSubsets:
    """The first stage over interleaved subsets of a cloud, each on its own; searched once for each number of them."""

    stages: Stages
    points: NDArray[np.float64]
    graphs: dict[int, TiledGraphs] = field(default_factory=dict)

    def __call__(
        self, sigma: NDArray[np.float64], subsets: float, progress: Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Displacement and features handed on, mixed of the whole numbers of subsets next to this one."""
        mixture = _whole_numbers(subsets)
        self.graphs = {count: its for count, its in self.graphs.items() if count in mixture}
        moves, features = [], []
        for done, (count, weight) in enumerate(mixture.items()):
            if count not in self.graphs:
                self.graphs[count] = self.stages.graphs(0, self.points + subsets_apart(self.points, count))
            running = partial(part, progress, done, len(mixture))
            move, handed_on = self.stages.ask(0, self.graphs[count], sigma, running)
            moves.append(np.float32(weight) * move)
            features.append(np.float32(weight) * handed_on)
        return sum(moves[1:], moves[0]), sum(features[1:], features[0])


def spread_at_last(
    moved: NDArray[np.float64],
    points: NDArray[np.float64],
    relaxation: float,
    share: float,
    sigma: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The result of a network, and the same spread evenly along the surface.

    A point whose answer is not a number keeps its place.

    Args:
        moved: (n, 3) the answer.
        points: (n, 3) the input.
        relaxation: see `pcdenoise.denoisers.learned.LearnedDenoiser`.
        share: of the noise that the last stage was told.
        sigma: (n,) the noise.
    """
    moved = np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, points)
    # The weaker the noise, the better a network that polishes knows where along the surface a point belongs.
    weak = np.minimum(1.0, sigma / SPREAD_WHOLLY) if share < 1 else 1.0
    return moved, relax_tangentially(moved, relaxation * share * weak * sigma)


def _whole_numbers(count: float) -> dict[int, float]:
    """The whole numbers next to a count, by the weight that makes it their mean."""
    fewer = int(count)
    return {fewer: 1.0} if count == fewer else {fewer: fewer + 1 - count, fewer + 1: count - fewer}


def part(progress: Callable[[float], None], index: int, parts: int, done: float) -> None:
    """Tell `progress` of the share `done` of part `index`."""
    progress((index + done) / parts)
