"""Tiles that are searched, gathered and measured where the network runs.

Tested on CPU tensors only, not on a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdenoise.denoisers.tiling import LEAST_SPACING, run_in_tiles
from pcdenoise.geometry.bucket_tree import BucketTree
from pcdenoise.kernels.array_graph import SPACING_NEIGHBOUR
from pcdenoise.kernels.neighbourhood import NeighbourGraph, build_graph_at
from pcdenoise.networks.graphs import device_spacing


@dataclass(frozen=True)
class DeviceTile:
    """What a `pcdenoise.denoisers.tiling.Tile` says, with the graph it is for.

    Attributes:
        rows: (r,) the rows that are wanted; the first ones of `members`.
        members: (m,) rows of the cloud in rings.
        spacing: (n,) local spacing.
        graph: of the first n members, on the device; its indices are places among the members.
    """

    rows: NDArray[np.int64]
    members: NDArray[np.int64]
    spacing: NDArray[np.float64]
    graph: NeighbourGraph

    @property
    def idx(self) -> Tensor:
        """(n, k) int32 neighbours of the first n members, on the device."""
        return self.graph.idx


class DeviceTiling:
    """`pcdenoise.denoisers.tiling.Tiling` on the device of a tensor, with the same tiles.

    The neighbours of the whole cloud are found at once and kept, 4 k bytes per point; the search takes 12 k more for
    its answer. What a tile costs does not grow with the cloud, but for 4 bytes per point.

    Args:
        points: (n, 3) finite, float64.
        neighbours: k of the graph, at least 8 and below n.
        layers: rings that an output depends on.
        tile: rows per tile.
        neighbourhoods: increasing neighbour counts of the moments, the last at most k.
    """

    def __init__(
        self, points: Tensor, neighbours: int, layers: int, tile: int, neighbourhoods: tuple[int, ...]
    ) -> None:
        self._points, self._layers, self._tile, self._neighbourhoods = points, layers, tile, neighbourhoods
        tree = BucketTree(points)
        distances, self._idx = tree.neighbours(neighbours)
        self._reach = distances[:, SPACING_NEIGHBOUR - 1].clone()
        self._order: NDArray[np.int64] = tree.order.cpu().numpy()

    def run(
        self,
        evaluate: Callable[[DeviceTile], tuple[NDArray[Any], ...]],
        outputs: tuple[NDArray[Any], ...],
        progress: Callable[[float], None],
    ) -> None:
        """`run_in_tiles` over this cloud."""
        run_in_tiles(self._order, self._tile, lambda rows: evaluate(self._gather(rows)), outputs, progress)

    def _gather(self, rows: NDArray[np.int64]) -> DeviceTile:
        device = self._points.device
        place = torch.full((len(self._points),), -1, dtype=torch.int32, device=device)
        rings = [torch.from_numpy(rows).to(device)]
        place[rings[0]] = torch.arange(len(rows), dtype=torch.int32, device=device)
        counts, total = [], len(rows)
        for _ in range(self._layers):
            counts.append(total)
            around = self._idx[rings[-1]].flatten().long()
            ring = around[place[around] < 0].unique()  # type: ignore[no-untyped-call]
            place[ring] = torch.arange(total, total + len(ring), dtype=torch.int32, device=device)
            rings.append(ring)
            total += len(ring)
        members = torch.cat(rings)
        around = self._idx[members[: counts[-1]]]
        spacing = device_spacing(self._reach, around).clamp(min=LEAST_SPACING)
        sizes = tuple(reversed(counts))
        graph = build_graph_at(
            self._points[members], place[around.long()], spacing[:, None], self._neighbourhoods, sizes
        )
        return DeviceTile(rows, members.cpu().numpy(), spacing.cpu().numpy(), graph)
