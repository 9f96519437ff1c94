"""The engine that runs a whole-cloud network over a cloud, tile by tile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.denoisers.device_tiling import DeviceTile, DeviceTiling
from pcdenoise.denoisers.tiling import Tile, Tiling, is_memory
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import build_tree, knn, query_tree
from pcdenoise.geometry.noise import scattered
from pcdenoise.geometry.subsets import subsets_apart
from pcdenoise.kernels.neighbourhood import NeighbourGraph, build_graph, build_graph_at
from pcdenoise.networks.conditional import ConditionalScore
from pcdenoise.networks.denoiser import DenoisingStage, StagedDenoiser
from pcdenoise.networks.energy import EnergyNetwork
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import with_moments
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.relaxation import RELAXATION, relax_tangentially
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.score import DenoiserField, Sampler, ScoreField

# A network told of less noise than there is leaves some; told of more, it takes shape away, thin walls above all. The
# denser a cloud samples its shape, the smoother it looks, and the more the estimate falls short. Chosen on validation
# shapes and on procedural ones with thin walls, of 10,000 and 50,000 points.
SPARSE, DENSE = 10_000, 50_000
TOLD_SPARSE, TOLD_DENSE = 0.9, 1.0  # the share of the estimate that is told first
# Between the sides of a thin wall a point is nearer to some surface than to the place that it came from. Where the
# first stage moves points by much less than the noise has, there are such walls: told less, it leaves them open. Where
# it moves them further, there are none, and it is told more. Root mean square moves over the estimate, and factors of
# what is told.
AGAIN_SPARSE = np.array([[0.85, 0.89, 0.92, 0.96, 1.01], [0.95, 1.0, 1.0, 1.02, 1.12]])
AGAIN_DENSE = np.array([[0.95, 0.975, 1.0, 1.03, 1.06], [0.87, 1.0, 1.07, 1.07, 1.07]])
RAISED = 0.45  # spacings; of weaker noise no more is told
# Noise without tails, such as that in a ball, moves the points of dense clouds by less than is estimated, too, and its
# estimate falls short. Walls make the tails longer: where the mean fourth power of the moves is below so many squares
# of the mean square, what is told is never less, and more by this table, and the subsets go by as much more.
BOUNDED, AGAIN_BOUNDED = 2.78, np.array([[0.86, 0.92], [1.2, 1.05]])
# In a cloud larger than so many patches, with so many points for each subset, the inner points of these are asked.
PATCHES, PATCH_POINTS, CORE = 16, 4096, 0.5
AS_IT_LIES, HALF_TURN = (1, 1, 1), (1, -1, -1)  # orientations, as signs of the coordinates
SPREAD_WHOLLY = 0.75  # spacings; after weaker noise the last spreading is shorter, see below
LEAST_SIGMA = 0.08  # below, in spacings, there was hardly any training
# An energy's gradient keeps all activations of a tile, and its rings twice.
GRADIENT_TILE = 8
HEAD_ROWS = 8192  # a head's activations, some hundred values a row and neighbour, stay near the cache


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


def told_again(moves: NDArray[np.float64], n: int) -> tuple[float, float]:
    """Factors of what a network was told first, and of the estimate, by how far its first stage moved the points.

    See `AGAIN_SPARSE` and `BOUNDED`.

    Args:
        moves: (m,) lengths over the estimate.
        n: points of the cloud.
    """
    squared = moves**2
    moved = float(np.sqrt(squared.mean()))
    if not np.isfinite(moved):
        return 1.0, 1.0
    density = _density(n)
    factor = float(np.interp(moved, *(AGAIN_SPARSE + density * (AGAIN_DENSE - AGAIN_SPARSE))))
    if n > SPARSE and (squared**2).mean() < BOUNDED * moved**4:
        factor = max(factor, 1 + density * (float(np.interp(moved, *AGAIN_BOUNDED)) - 1))
        return factor, factor
    return factor, 1.0


@dataclass(frozen=True)
class LearnedDenoiser:
    """Moves every point along the score field of a network, from the noise level of the cloud down.

    A field is evaluated over the whole cloud in tiles (see `Tiling`), and a sampler only ever sees the whole cloud, so
    the result depends neither on the tile size, beyond float rounding, nor on the device's memory.

    Args:
        model: the network.
        device: where it runs; on CUDA the graphs are made there, too.
        sampler: how the field is followed.
        tile: points per tile.
        relaxation: after the last step, and before the last stage of a `StagedDenoiser` with `polish`, points spread
            evenly along the surface, no further than so many sigmas (that the network was told of); 0 leaves them where
            the network put them.
        ensemble: fields of so many nearest points of the noisy cloud are averaged, where each row has its own.
        walls: whether a `StagedDenoiser` is told anew by how far its first stage moves the points, see `AGAIN_SPARSE`.
        half_turn: whether the last stage of a `StagedDenoiser` with `polish` is asked in two orientations, half a turn
            apart, and its moves are averaged.
    """

    model: ScoreNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    sampler: Sampler = field(default_factory=Ascent)
    tile: int = 200_000
    relaxation: float = RELAXATION
    ensemble: int = 4
    walls: bool = True
    half_turn: bool = True

    @property
    def neighbours(self) -> int:
        """k of the widest graph: a cloud needs more points than that."""
        return max(module.neighbours for module in self.model.modules() if isinstance(module, EdgeConvFeatures))

    @property
    def polished_once(self) -> int:
        """Passes that are its stages, with no more than one that polishes."""
        return min(len(self.model.stages), self.model.leading + 1) if isinstance(self.model, StagedDenoiser) else 1

    @property
    def passes(self) -> int:
        """Passes that can do good: all stages, and at least two that polish where the last one does."""
        if not isinstance(self.model, StagedDenoiser):
            return 1
        stages, leading = len(self.model.stages), self.model.leading
        return max(stages, leading + 2) if leading < stages else stages

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],
        passes: int,
        progress: Callable[[float], None] = lambda done: None,
        seed: int = 0,
        iterate: Callable[[NDArray[np.float64]], None] = lambda x: None,
    ) -> NDArray[np.float64]:
        """Denoised positions, row by row.

        Args:
            points: (n, 3) in units of the cloud's spacing, finite, distinct, n > `neighbours`.
            sigma: (n,) noise per coordinate, in the same unit, positive.
            passes: stages of a staged denoiser to apply, in turn, at most `self.passes`; after the last, that again.
            progress: told the share of the work that is done.
            seed: of what the sampler draws.
            iterate: given the positions after each step of the sampler, and after the spreading.

        Raises:
            OutOfMemoryError: not even the smallest tile fits.
        """
        asked = 0

        def working(done: float) -> None:
            progress(min(1.0, (asked + done) / (self.sampler.evaluations + 1)))

        level = torch.from_numpy(sigma)[:, None]
        if isinstance(self.model, EnergyNetwork):
            level = torch.full_like(level, self.model.sigma_0)
        with torch.no_grad():
            score = self._field(points, level, passes, working)

            def counted(x: Tensor, sigma: Tensor) -> Tensor:
                nonlocal asked
                answer = score(x, sigma)
                asked += 1
                return answer

            start = reached = torch.from_numpy(points)
            for reached in self.sampler(counted, start, level, torch.Generator().manual_seed(seed)):
                iterate(reached.numpy())
        moved = reached.numpy()
        # A point whose answer is not a number keeps its place.
        moved = np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, points)
        share = self.model.shares[:passes][-1] if isinstance(self.model, StagedDenoiser) else 1.0
        # The weaker the noise, the better a network that polishes knows where along the surface a point belongs.
        weak = np.minimum(1.0, sigma / SPREAD_WHOLLY) if share < 1 else 1.0
        spread = relax_tangentially(moved, self.relaxation * share * weak * sigma)
        if spread is not moved:
            iterate(spread)
        progress(1.0)
        return spread

    def field(self, noisy: Tensor, sigma: Tensor) -> ScoreField:
        """The score field of a noisy cloud, see `pcdenoise.score`.

        Args:
            noisy: (n, 3), any unit; the field's x and sigma are in the same one.
            sigma: (n, 1) the noise of that cloud.
        """
        points = noisy.detach().cpu().numpy().astype(np.float64)
        frame = Frame.of(points)
        level = sigma.detach().cpu().double() / frame.scale
        local = self._field(frame.to_local(points), level, self.passes, lambda done: None)

        def score(x: Tensor, sigma: Tensor) -> Tensor:
            at = torch.from_numpy(frame.to_local(x.detach().cpu().numpy()))
            with torch.no_grad():
                return (local(at, sigma.detach().cpu().double() / frame.scale) / frame.scale).to(x)

        return score

    def _field(
        self, points: NDArray[np.float64], sigma: Tensor, passes: int, progress: Callable[[float], None]
    ) -> ScoreField:
        match self.model:
            case StagedDenoiser():
                return DenoiserField(partial(self._denoise, passes=passes, progress=progress))
            case EnergyNetwork():
                return partial(self._energy_score, model=self.model, progress=progress)
            case ConditionalScore():
                return self._conditional_field(self.model, points, sigma, progress)
        raise TypeError(f"{type(self.model).__name__} does not run in this engine")

    def _denoise(self, x: Tensor, sigma: Tensor, passes: int, progress: Callable[[float], None]) -> Tensor:
        """Where the leading stages put the points of a cloud that stands at x."""
        assert isinstance(self.model, StagedDenoiser)
        last = len(self.model.stages) - 1
        points, received = x.numpy(), None
        for p in range(passes):
            stage, share = self.model.stages[min(p, last)], self.model.shares[min(p, last)]
            assert isinstance(stage, DenoisingStage)
            if share < 1:
                limit = self.relaxation * (share if p > last else self.model.limits[p])
                points = relax_tangentially(points, limit * sigma[:, 0].numpy())
            running = partial(part, progress, p, passes)
            if p == 0:
                sigma, wanted, move, handed_on = self._first(stage, points, sigma, passes == 1, running)
            else:
                apart = subsets_apart(points, round(self.model.stage_subsets(p, wanted, len(points))))
                graphs = self._graphs(stage.features, points + apart, x.numpy() + apart)
                turned = self.half_turn and share < 1 and p >= last
                turns = (AS_IT_LIES, HALF_TURN) if turned else (AS_IT_LIES,)
                move, handed_on = self._stage(stage, graphs, share * sigma, running, received, turns)
            if p < min(self.model.leading, last):
                received = handed_on
            points = points + np.where(np.isfinite(move).all(axis=1, keepdims=True), move, 0.0)
        return torch.from_numpy(points)

    def _first(
        self,
        stage: DenoisingStage,
        points: NDArray[np.float64],
        sigma: Tensor,
        hasty: bool,
        progress: Callable[[float], None],
    ) -> tuple[Tensor, float, NDArray[np.float32], Tensor]:
        """The noise that all stages are told, the subsets of the first one, and its answer: see `AGAIN_SPARSE`.

        In haste a sparse cloud is not told more: it would take half as long again.
        """
        estimate = estimate_behind(float(sigma.median()), len(points))  # sigma is in spacings
        assert isinstance(self.model, StagedDenoiser)
        wanted = self.model.subsets(estimate, len(points))
        whole = _AskedInSubsets(self, stage, points)
        if not self.walls:
            return sigma, wanted, *whole(sigma, wanted, progress)
        patch = PATCH_POINTS * max(_whole_numbers(wanted))
        if at_once := len(points) <= PATCHES * patch:
            move, handed_on = whole(sigma, wanted, partial(part, progress, 0, 2))
        else:
            _, patches = query_tree(build_tree(points), scattered(points, PATCHES), patch)
            move = np.concatenate([self._inner_moves(stage, points[rows], sigma[rows], wanted) for rows in patches])
        told, corrected = told_again(np.linalg.norm(move.astype(np.float64), axis=1) / estimate, len(points))
        if told > 1 and (estimate < RAISED or (hasty and len(points) <= SPARSE)):
            told = 1.0
        if told != 1 or not at_once:
            sigma = told * sigma
            wanted = self.model.subsets(corrected * estimate, len(points))
            move, handed_on = whole(sigma, wanted, partial(part, progress, at_once, 1 + at_once))
        return sigma, wanted, move, handed_on

    def _inner_moves(
        self, stage: DenoisingStage, patch: NDArray[np.float64], sigma: Tensor, subsets: float
    ) -> NDArray[np.float32]:
        """Where the first stage moves the inner points of a patch, which come first."""
        move, _ = _AskedInSubsets(self, stage, patch)(sigma, subsets, lambda done: None)
        return move[: round(CORE * len(patch))]

    def _stage(
        self,
        stage: DenoisingStage,
        graphs: "_Graphs",
        sigma: Tensor,
        progress: Callable[[float], None],
        received: Tensor | None = None,
        turns: Sequence[tuple[int, int, int]] = (AS_IT_LIES,),
    ) -> tuple[NDArray[np.float32], Tensor]:
        """Displacement (n, 3), the mean over some orientations, and features handed on, those of the last of them.

        All but the first stage are given the features of the one before.
        """
        move = np.empty((graphs.count, 3), np.float32)
        handed_on = np.empty((graphs.count, stage.hand_on.out_features), np.float32)

        def evaluate(tile: Tile | DeviceTile, graph: NeighbourGraph) -> tuple[NDArray[Any], ...]:
            seen = torch.from_numpy(tile.members[: len(tile.idx)])
            given = None if received is None else received[seen].to(self.device)
            told, total = self._told(sigma, seen), torch.zeros((), device=self.device)
            for signs in turns:
                its, features = stage(graph.half_turned(signs), told, given)
                total = total + its * its.new_tensor(signs)
            return (total / len(turns)).cpu().numpy(), features.cpu().numpy()

        graphs.run(evaluate, (move, handed_on), progress)
        return move, torch.from_numpy(handed_on)

    def _energy_score(
        self,
        x: Tensor,
        sigma: Tensor,  # noqa: ARG002 - one energy for all levels
        model: EnergyNetwork,
        progress: Callable[[float], None],
    ) -> Tensor:
        """`-grad E` at x, whatever sigma."""
        score = np.empty((len(x), 3), np.float32)
        features = model.features

        def evaluate(tile: Tile) -> tuple[NDArray[Any], ...]:
            with torch.enable_grad():
                at = x[torch.from_numpy(tile.members)].to(self.device).requires_grad_()
                idx = torch.from_numpy(tile.idx).to(self.device)
                unit = torch.from_numpy(tile.spacing[:, None]).to(at)
                energy = model(build_graph_at(at, idx, unit, features.neighbourhoods, tile.sizes)).sum()
                (gradient,) = torch.autograd.grad(energy, at)
            return (-gradient[: len(tile.rows)].float().cpu().numpy(),)

        tile = max(1, self.tile // GRADIENT_TILE)
        tiling = Tiling(x.numpy(), features.neighbours, features.layers, tile, reverse=True)
        tiling.run(evaluate, (score,), progress)
        return torch.from_numpy(score)

    def _conditional_field(
        self, model: ConditionalScore, points: NDArray[np.float64], sigma: Tensor, progress: Callable[[float], None]
    ) -> ScoreField:
        """Features of the noisy cloud once; then each point follows the fields of the noisy points nearest to it."""
        features = np.empty((len(points), model.features.channels), np.float32)
        spacing = np.empty((len(points), 1), np.float32)

        def evaluate(tile: Tile | DeviceTile, graph: NeighbourGraph) -> tuple[NDArray[Any], ...]:
            told = self._told(sigma, torch.from_numpy(tile.members[: len(tile.idx)]))
            answer = model.features(graph, told / graph.spacing).cpu().numpy()
            return answer, tile.spacing[: len(answer), None]

        self._graphs(model.features, points).run(evaluate, (features, spacing), lambda done: None)

        def score(x: Tensor, sigma: Tensor) -> Tensor:
            _, nearest = knn(points, self.ensemble, x.numpy())
            total = torch.empty(len(x), 3)
            for first in range(0, len(x), HEAD_ROWS):
                rows = slice(first, first + HEAD_ROWS)
                near = nearest[rows]
                offsets = torch.from_numpy((x[rows, None].numpy() - points[near]).astype(np.float32))
                told = sigma[rows].float()
                with torch.inference_mode():
                    flat = near.ravel()
                    moves = model(
                        torch.from_numpy(features[flat]).to(self.device),
                        torch.from_numpy(spacing[flat]).to(self.device),
                        offsets.view(-1, 1, 3).to(self.device),
                        told.repeat_interleave(self.ensemble, dim=0).to(self.device),
                    )
                total[rows] = moves.view(-1, self.ensemble, 3).mean(dim=1).cpu() / told**2
                progress(min(1.0, (first + HEAD_ROWS) / len(x)))
            return total

        return score

    def _graphs(
        self, features: EdgeConvFeatures, points: NDArray[np.float64], noisy: NDArray[np.float64] | None = None
    ) -> "_Graphs":
        build = partial(self._graph, features, points=points, noisy=noisy)
        return _Graphs(len(points), self._tiling(features, points), build)

    def _tiling(self, features: EdgeConvFeatures, points: NDArray[np.float64]) -> Tiling | DeviceTiling:
        if self.device.type != "cuda":
            return Tiling(points, features.neighbours, features.layers, self.tile)
        there = torch.from_numpy(points).to(self.device)
        return DeviceTiling(there, features.neighbours, features.layers, self.tile, features.neighbourhoods)

    def _graph(
        self,
        features: EdgeConvFeatures,
        tile: Tile | DeviceTile,
        points: NDArray[np.float64],
        noisy: NDArray[np.float64] | None,
    ) -> NeighbourGraph:
        members = points[tile.members]
        if isinstance(tile, DeviceTile):
            graph, there = tile.graph, self.device
        else:
            graph = build_graph(members, tile.idx, tile.spacing, features.neighbourhoods, tile.sizes)
            there = torch.device("cpu")
        before = torch.from_numpy(noisy[tile.members]).to(there) if features.noisy and noisy is not None else None
        return with_moments(graph, torch.from_numpy(members).to(there), before, features).to(self.device)

    def _told(self, sigma: Tensor, rows: Tensor) -> Tensor:
        return sigma[rows].float().to(self.device)


class _Graphs:
    """The graphs of a cloud of `count` points, tile by tile; one of all points stays for when they are asked again."""

    def __init__(
        self, count: int, tiling: Tiling | DeviceTiling, build: Callable[[Tile | DeviceTile], NeighbourGraph]
    ) -> None:
        self.count, self._tiling, self._build = count, tiling, build
        self._whole: tuple[Tile | DeviceTile, NeighbourGraph] | None = None

    def run(
        self,
        evaluate: Callable[[Tile | DeviceTile, NeighbourGraph], tuple[NDArray[Any], ...]],
        outputs: tuple[NDArray[Any], ...],
        progress: Callable[[float], None],
    ) -> None:
        """`pcdenoise.denoisers.tiling.run_in_tiles` over the cloud, in inference mode."""

        def asked(tile: Tile | DeviceTile) -> tuple[NDArray[Any], ...]:
            with torch.inference_mode():
                graph = self._build(tile)
                answers = evaluate(tile, graph)
            if len(tile.rows) == self.count:
                self._whole = tile, graph
            return answers

        if self._whole is not None:
            tile, graph = self._whole
            try:
                with torch.inference_mode():
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


class _AskedInSubsets:
    """The first stage over interleaved subsets of a cloud, each on its own; searched once for each number of them."""

    def __init__(self, denoiser: LearnedDenoiser, stage: DenoisingStage, points: NDArray[np.float64]) -> None:
        self._denoiser, self._stage, self._points = denoiser, stage, points
        self._graphs: dict[int, _Graphs] = {}

    def __call__(
        self, sigma: Tensor, subsets: float, progress: Callable[[float], None]
    ) -> tuple[NDArray[np.float32], Tensor]:
        """Displacement and features handed on, mixed of the whole numbers of subsets next to this one."""
        points, mixture = self._points, _whole_numbers(subsets)
        self._graphs = {count: its for count, its in self._graphs.items() if count in mixture}
        move, handed_on = np.zeros((len(points), 3), np.float32), torch.zeros(())
        for done, (count, weight) in enumerate(mixture.items()):
            if count not in self._graphs:
                apart = points + subsets_apart(points, count)
                self._graphs[count] = self._denoiser._graphs(self._stage.features, apart)
            running = partial(part, progress, done, len(mixture))
            its, its_features = self._denoiser._stage(self._stage, self._graphs[count], sigma, running)
            move, handed_on = move + np.float32(weight) * its, handed_on + weight * its_features
        return move, handed_on


def _whole_numbers(count: float) -> dict[int, float]:
    """The whole numbers next to a count, by the weight that makes it their mean."""
    fewer = int(count)
    return {fewer: 1.0} if count == fewer else {fewer: fewer + 1 - count, fewer + 1: count - fewer}


def part(progress: Callable[[float], None], index: int, parts: int, done: float) -> None:
    """Tell `progress` of the share `done` of part `index`."""
    progress((index + done) / parts)
