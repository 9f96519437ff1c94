"""The engine that runs a learned denoiser over a whole cloud, tile by tile."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.denoisers.relaxation import RELAXATION_NEIGHBOURS, relax_tangentially
from pcdenoise.errors import OutOfMemoryError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import NeighbourSearch
from pcdenoise.kernels.neighbourhood import SPACING_NEIGHBOUR, build_graph, local_spacing
from pcdenoise.networks.denoiser import DenoisingStage, StagedDenoiser
from pcdenoise.samplers.ascent import Ascent
from pcdenoise.score import DenoiserField

SMALLEST_TILE = 1024
# Duplicates and clusters far denser than the cloud would have no unit of length; this is their least, in spacings.
LEAST_SPACING = 0.01
# A network told of less noise than there is leaves a little; told of more, it takes shape away. On the validation
# shapes four fifths of the estimate give the lowest Chamfer distance at nearly every level and density; below 0.12
# spacings there was hardly any training.
CAUTION, LEAST_SIGMA = 0.8, 0.12


def told_sigma(estimate: float, n: int) -> NDArray[np.float64]:
    """The noise (n,) that a network is told of, for a blind estimate in spacings."""
    return np.full(n, max(CAUTION * estimate, LEAST_SIGMA))


@dataclass(frozen=True)
class LearnedDenoiser:
    """Moves every point by the stages of a network, each pass over the whole cloud on a fresh k-NN graph.

    A pass runs in tiles. Around the points of a tile come as many rings of neighbours as the network has layers, so
    that each layer finds every value it gathers: the result does not depend on the tile size beyond float rounding,
    and memory grows with the tile, not with the cloud. A tile that does not fit into memory is halved.

    Args:
        model: stages.
        device: where the network runs; the search runs on the CPU.
        sampler: how each stage's score field is followed.
        tile: points per tile.
        relaxation: after the last pass points spread evenly along the surface, no further than so many sigmas (that the
            network was told of); 0 leaves them where the network put them.
    """

    model: StagedDenoiser
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    sampler: Ascent = field(default_factory=Ascent)
    tile: int = 200_000
    relaxation: float = 0.75

    @property
    def neighbours(self) -> int:
        """k of the widest graph: a cloud needs more points than that."""
        return max(stage.neighbours for stage in self._stages())

    @property
    def passes(self) -> int:
        """Passes the model was trained for."""
        return len(self.model.stages)

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],
        passes: int,
        progress: Callable[[float], None] = lambda done: None,
    ) -> NDArray[np.float64]:
        """Denoised positions, row by row.

        Args:
            points: (n, 3) in units of the cloud's spacing, finite, distinct, n > `neighbours`.
            sigma: (n,) noise per coordinate, in the same unit, positive.
            passes: leading stages to apply, at most `self.passes`.
            progress: told the share of the work that is done.

        Raises:
            OutOfMemoryError: not even the smallest tile fits.
        """
        handed_on: NDArray[np.float32] | None = None
        for p, stage in enumerate(self._stages()[:passes]):
            points, handed_on = self._pass(stage, points, sigma, handed_on, partial(part, progress, p, passes + 1))
        if self.relaxation > 0 and len(points) > RELAXATION_NEIGHBOURS:
            points = relax_tangentially(points, self.relaxation * sigma)
        progress(1.0)
        return points

    def field(self, noisy: Tensor) -> DenoiserField:
        """The score field of a noisy cloud: `field(x, sigma) = (D(sigma) - x) / sigma^2`, D by all passes.

        Args:
            noisy: (n, 3), any unit; sigma (n, 1) and x (n, 3) are in the same one.
        """
        points = noisy.detach().cpu().numpy().astype(np.float64)
        frame = Frame.of(points)

        def denoise(_x: Tensor, sigma: Tensor) -> Tensor:
            level = sigma.detach().cpu().numpy().astype(np.float64)[:, 0] / frame.scale
            return torch.from_numpy(frame.to_world(self(frame.to_local(points), level, self.passes))).to(noisy)

        return DenoiserField(denoise)

    def _stages(self) -> list[DenoisingStage]:
        return [stage for stage in self.model.stages if isinstance(stage, DenoisingStage)]

    def _pass(
        self,
        stage: DenoisingStage,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],
        received: NDArray[np.float32] | None,
        progress: Callable[[float], None],
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        n = len(points)
        search = NeighbourSearch(points)
        moved = np.empty_like(points)
        handed_on = np.empty((n, stage.hand_on.out_features), np.float32)
        place = np.full(n, -1, np.int32)
        tiles = deque(np.array_split(search.order, math.ceil(n / self.tile)))
        done = 0
        while tiles:
            rows = tiles.popleft()
            try:
                move, features = self._tile(stage, points, sigma, received, search, rows, place)
            except (MemoryError, RuntimeError) as error:
                if not _is_memory(error):
                    raise
                if len(rows) <= SMALLEST_TILE:
                    raise OutOfMemoryError(
                        f"not even a tile of {len(rows)} points fits into memory; "
                        "close other programs or use a smaller model"
                    ) from None
                place.fill(-1)
                tiles.extendleft(reversed(np.array_split(rows, 2)))
                continue
            # A point whose answer is not a number keeps its place.
            moved[rows] = points[rows] + np.where(np.isfinite(move).all(axis=1, keepdims=True), move, 0.0)
            handed_on[rows] = features
            done += len(rows)
            progress(done / n)
        return moved, handed_on

    def _tile(
        self,
        stage: DenoisingStage,
        points: NDArray[np.float64],
        sigma: NDArray[np.float64],
        received: NDArray[np.float32] | None,
        search: NeighbourSearch,
        rows: NDArray[np.int64],
        place: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Displacement and features of `rows`; `place` maps rows of the cloud to those of the tile, -1 outside."""
        rings: list[NDArray[np.integer[Any]]] = [rows]
        found, reach, counts = [], [], []
        place[rows] = np.arange(len(rows), dtype=np.int32)
        total = len(rows)
        for _ in range(len(stage.blocks) + 1):
            counts.append(total)
            distances, idx = search(rings[-1], stage.neighbours)
            reach.append(distances[:, SPACING_NEIGHBOUR - 1])
            found.append(idx)
            unseen = idx[place[idx] < 0]
            ring = np.unique(unseen) if len(unseen) else unseen
            place[ring] = np.arange(total, total + len(ring), dtype=np.int32)
            rings.append(ring)
            total += len(ring)
        if len(rings[-1]):
            reach.append(search(rings[-1], SPACING_NEIGHBOUR)[0][:, -1])
        members = np.concatenate(rings)
        idx = place[np.concatenate(found)]
        place[members] = -1
        spacing = np.maximum(local_spacing(np.concatenate(reach), idx), LEAST_SPACING)
        graph = build_graph(points[members], idx, spacing, stage.neighbourhoods, tuple(reversed(counts)))
        seen = members[: len(idx)]
        with torch.inference_mode():
            inputs = None if received is None else torch.from_numpy(received[seen]).to(self.device)
            noise = torch.from_numpy(sigma[seen].astype(np.float32)[:, None]).to(self.device)
            move, features = stage(graph.to(self.device), noise, inputs)
            # Each row's own position is the origin of its field: a score does not change when everything is shifted.
            score_field = DenoiserField(lambda _x, _sigma: move)
            *_, last = self.sampler(score_field, torch.zeros_like(move), noise[: len(rows)])
            return last.cpu().numpy(), features.cpu().numpy()


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def part(progress: Callable[[float], None], index: int, parts: int, done: float) -> None:
    """Tell `progress` of the share `done` of part `index`."""
    progress((index + done) / parts)
