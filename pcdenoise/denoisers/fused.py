"""The engine that cleans clouds on a CPU without torch, which takes longer to import than a cloud takes to denoise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.checkpoint import select
from pcdenoise.denoisers.staged import (
    AS_IT_LIES,
    Progress,
    StagedRun,
    TiledGraphs,
    Turns,
    spread_at_last,
)
from pcdenoise.denoisers.tiling import Tile, Tiling
from pcdenoise.kernels import edgeconv_numba
from pcdenoise.kernels.array_graph import ArrayGraph
from pcdenoise.networks.fused import FusedStage, Shapes, stage_shapes
from pcdenoise.networks.stage_plan import StagePlan
from pcdenoise.relaxation import RELAXATION

if TYPE_CHECKING:
    from torch import Tensor

    from pcdenoise.networks.score_network import ScoreNetwork
    from pcdenoise.score import ScoreField

STAGED = "pcdenoise.networks.denoiser.StagedDenoiser"
OF_STAGES = ("subset_sigma", "polish", "polishes", "polish_subsets")
OF_GRAPHS = ("neighbours", "neighbourhoods", "hops")
CONFIGURATION = {"_target_", "channels", "blocks", "handed_on", "conditioning", "noisy_moments", *OF_STAGES, *OF_GRAPHS}

OPTIONS = {"tile", "relaxation", "walls", "half_turn", "ensemble"}


@dataclass(frozen=True)
class FusedDenoiser:
    """What `LearnedDenoiser` does for a `StagedDenoiser` on a CPU, in one full step of `Ascent`, without torch.

    Args:
        plan: of the stages.
        stages: their networks.
        network: loads the same network as a module, which needs torch.
        tile, relaxation, walls, half_turn: see `LearnedDenoiser`.
    """

    plan: StagePlan
    stages: tuple[FusedStage, ...]
    network: Callable[[], "ScoreNetwork"]
    tile: int = 200_000
    relaxation: float = RELAXATION
    walls: bool = True
    half_turn: bool = True

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cpu"

    @property
    def neighbours(self) -> int:
        """k of the graphs: a cloud needs more points than that."""
        return self.stages[0].features.neighbours

    @property
    def polished_once(self) -> int:
        """See `StagePlan.polished_once`."""
        return self.plan.polished_once

    @property
    def passes(self) -> int:
        """See `StagePlan.passes`."""
        return self.plan.passes

    @cached_property
    def model(self) -> "ScoreNetwork":
        """The network as a module of torch."""
        return self.network()

    def field(self, noisy: "Tensor", sigma: "Tensor") -> "ScoreField":
        """See `LearnedDenoiser.field`; in torch."""
        from pcdenoise.denoisers.learned import LearnedDenoiser

        options = {"tile": self.tile, "relaxation": self.relaxation, "walls": self.walls, "half_turn": self.half_turn}
        return LearnedDenoiser(self.model, **options).field(noisy, sigma)  # type: ignore[arg-type]

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],
        passes: int,
        progress: Progress = lambda done: None,
        seed: int = 0,  # noqa: ARG002 - nothing is drawn
        iterate: Callable[[NDArray[np.float64]], None] = lambda x: None,
    ) -> NDArray[np.float64]:
        """Denoised positions, see `LearnedDenoiser`."""
        run = StagedRun(self.plan, self, self.relaxation, self.walls, self.half_turn)
        reached = run(points, sigma, passes, lambda done: progress(done / 2))
        iterate(reached)
        share = self.plan.shares[:passes][-1]
        moved, spread = spread_at_last(reached, points, self.relaxation, share, sigma)
        if spread is not moved:
            iterate(spread)
        progress(1.0)
        return spread

    def graphs(self, stage: int, points: NDArray[np.float64], noisy: NDArray[np.float64] | None = None) -> TiledGraphs:
        """See `Stages`."""
        features = self.stages[stage].features

        def build(tile: Tile) -> ArrayGraph:
            before = noisy[tile.members] if features.noisy and noisy is not None else None
            return features.graph(points[tile.members], tile.idx, tile.spacing, tile.sizes, before)

        return TiledGraphs(len(points), Tiling(points, features.neighbours, features.layers, self.tile), build)

    def ask(
        self,
        stage: int,
        graphs: TiledGraphs,
        sigma: NDArray[np.float64],
        progress: Progress,
        received: NDArray[np.float32] | None = None,
        turns: Turns = (AS_IT_LIES,),
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Stages`."""
        network = self.stages[stage]
        move = np.empty((graphs.count, 3), np.float32)
        handed_on = np.empty((graphs.count, network.handed_on), np.float32)

        def evaluate(tile: Tile, graph: ArrayGraph) -> tuple[NDArray[Any], ...]:
            seen = tile.members[: len(tile.idx)]
            given = None if received is None else received[seen]
            told = sigma[seen, None].astype(np.float32)
            answers = [network(graph.half_turned(signs), told, given) for signs in turns]
            moves = [its * np.array(signs, np.float32) for (its, _), signs in zip(answers, turns, strict=True)]
            return sum(moves[1:], moves[0]) / np.float32(len(turns)), answers[-1][1]

        graphs.run(evaluate, (move, handed_on), progress)
        return move, handed_on


def fused_denoiser(
    weights: Mapping[str, NDArray[Any]],
    configuration: Mapping[str, Any],
    network: Callable[[], "ScoreNetwork"],
    options: Mapping[str, Any],
) -> FusedDenoiser | None:
    """The engine for weights, or None where it does not run: other networks, layers that do not fit, weights that do
    not fit to their configuration.

    Args:
        weights: by name.
        configuration: what they are for, with every argument of `StagedDenoiser`.
        network: see `FusedDenoiser`.
        options: `tile`, `relaxation`, `walls` and `half_turn` of `FusedDenoiser`; `ensemble` is left out.
    """
    if configuration["_target_"] != STAGED or configuration.keys() != CONFIGURATION or options.keys() - OPTIONS:
        return None
    channels, handed_on, hops = (configuration[name] for name in ("channels", "handed_on", "hops"))
    if not edgeconv_numba.fits(channels, handed_on):
        return None
    graph = {name: configuration[name] for name in OF_GRAPHS}
    shapes: Shapes = {}
    stages = []
    for p, blocks in enumerate(configuration["blocks"]):
        noisy = bool(configuration["noisy_moments"] and p)
        count = len(graph["neighbourhoods"]) + hops
        widths = {"scales": 2 * count + 1 if noisy else count, "received": handed_on if p else 0}
        conditioned = configuration["conditioning"] == "input"
        its = stage_shapes(channels, blocks, handed_on=handed_on, conditioned=conditioned, **widths)
        shapes |= {f"stages.{p}.{name}": shape for name, shape in its.items()}
        stages.append((f"stages.{p}.", noisy))
    if {name: its.shape for name, its in weights.items()} != shapes:
        return None
    if any(its.dtype != np.float32 for its in weights.values()):
        return None
    plan = StagePlan(len(stages), **{name: configuration[name] for name in OF_STAGES})
    built = tuple(FusedStage(select(weights, prefix), **graph, noisy=noisy) for prefix, noisy in stages)
    return FusedDenoiser(plan, built, network, **{name: its for name, its in options.items() if name != "ensemble"})
