"""The engine that runs a whole-cloud network over a cloud, tile by tile."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.denoisers.device_tiling import DeviceTile, DeviceTiling
from pcdenoise.denoisers.staged import AS_IT_LIES, StagedRun, TiledGraphs, Turns, spread_at_last
from pcdenoise.denoisers.tiling import Tile, Tiling
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.neighbourhood import NeighbourGraph, build_graph, build_graph_at
from pcdenoise.networks.conditional import ConditionalScore
from pcdenoise.networks.denoiser import DenoisingStage, StagedDenoiser
from pcdenoise.networks.energy import EnergyNetwork
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import with_moments
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.networks.stage_plan import StagePlan
from pcdenoise.relaxation import RELAXATION
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.score import DenoiserField, Sampler, ScoreField

# An energy's gradient keeps all activations of a tile, and its rings twice.
GRADIENT_TILE = 8
HEAD_ROWS = 8192  # a head's activations, some hundred values a row and neighbour, stay near the cache


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
        """See `StagePlan.polished_once`; 1 for a network of one stage."""
        return self.model.polished_once if isinstance(self.model, StagePlan) else 1

    @property
    def passes(self) -> int:
        """See `StagePlan.passes`; 1 for a network of one stage."""
        return self.model.passes if isinstance(self.model, StagePlan) else 1

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
        share = self.model.shares[:passes][-1] if isinstance(self.model, StagePlan) else 1.0
        moved, spread = spread_at_last(reached.numpy(), points, self.relaxation, share, sigma)
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
                run = StagedRun(self.model, self, self.relaxation, self.walls, self.half_turn)
                return DenoiserField(
                    lambda x, sigma: torch.from_numpy(run(x.numpy(), sigma[:, 0].numpy(), passes, progress))
                )
            case EnergyNetwork():
                return partial(self._energy_score, model=self.model, progress=progress)
            case ConditionalScore():
                return self._conditional_field(self.model, points, sigma, progress)
        raise TypeError(f"{type(self.model).__name__} does not run in this engine")

    def graphs(self, stage: int, points: NDArray[np.float64], noisy: NDArray[np.float64] | None = None) -> TiledGraphs:
        """See `Stages`."""
        return self._graphs(self._staged[stage].features, points, noisy)

    def ask(
        self,
        stage: int,
        graphs: TiledGraphs,
        sigma: NDArray[np.float64],
        progress: Callable[[float], None],
        received: NDArray[np.float32] | None = None,
        turns: Turns = (AS_IT_LIES,),
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Stages`."""
        network = self._staged[stage]
        move = np.empty((graphs.count, 3), np.float32)
        handed_on = np.empty((graphs.count, network.hand_on.out_features), np.float32)

        @torch.inference_mode()
        def evaluate(tile: Tile | DeviceTile, graph: NeighbourGraph) -> tuple[NDArray[Any], ...]:
            seen = tile.members[: len(tile.idx)]
            given = None if received is None else torch.from_numpy(received[seen]).to(self.device)
            told, total = self._told(sigma[seen, None]), torch.zeros((), device=self.device)
            for signs in turns:
                its, features = network(graph.half_turned(signs), told, given)
                total = total + its * its.new_tensor(signs)
            return (total / len(turns)).cpu().numpy(), features.cpu().numpy()

        graphs.run(evaluate, (move, handed_on), progress)
        return move, handed_on

    @property
    def _staged(self) -> list[DenoisingStage]:
        assert isinstance(self.model, StagedDenoiser)
        return list(self.model.stages)  # type: ignore[arg-type]

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

        @torch.inference_mode()
        def evaluate(tile: Tile | DeviceTile, graph: NeighbourGraph) -> tuple[NDArray[Any], ...]:
            told = self._told(sigma.numpy()[tile.members[: len(tile.idx)]])
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
    ) -> TiledGraphs:
        build = torch.inference_mode()(partial(self._graph, features, points=points, noisy=noisy))
        return TiledGraphs(len(points), self._tiling(features, points), build)

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

    def _told(self, sigma: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(sigma).float().to(self.device)
