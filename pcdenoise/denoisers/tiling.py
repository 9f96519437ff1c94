"""Running a network of finite reach over a cloud of any size."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import OutOfMemoryError
from pcdenoise.geometry.neighbour_search import NeighbourSearch
from pcdenoise.kernels.array_graph import SPACING_NEIGHBOUR, local_spacing

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SMALLEST_TILE = 1024
# Duplicates and clusters far denser than the cloud would have no unit of length; this is their least, in spacings.
LEAST_SPACING = 0.01


@dataclass(frozen=True)
class Tile:
    """Some rows of a cloud with all that their network outputs depend on.

    Attributes:
        rows: (r,) the rows that are wanted; the first ones of `members`.
        members: (m,) rows of the cloud in rings: the wanted ones, their neighbours, the neighbours' neighbours, ...
        idx: (n, k) int32 neighbours of the first n members, as places among the members.
        spacing: (n,) local spacing.
        sizes: see `pcdenoise.kernels.neighbourhood.NeighbourGraph`.
    """

    rows: NDArray[np.int64]
    members: NDArray[np.int64]
    idx: NDArray[np.int32]
    spacing: NDArray[np.float64]
    sizes: tuple[int, ...]


def run_in_tiles(
    order: NDArray[np.int64],
    tile: int,
    evaluate: Callable[[NDArray[np.int64]], tuple[NDArray[Any], ...]],
    outputs: tuple[NDArray[Any], ...],
    progress: Callable[[float], None],
) -> None:
    """Fill each array of `outputs` (n, ...) with what `evaluate` gives for the rows of each tile.

    A tile that does not fit into memory is halved.

    Args:
        order: (n,) all rows, near ones together.
        tile: rows per tile.
        evaluate: the results for some rows.
        outputs: filled in place.
        progress: told the share of the work that is done.

    Raises:
        OutOfMemoryError: not even the smallest tile fits.
    """
    tiles = deque(np.array_split(order, math.ceil(len(order) / tile)))
    done = 0
    while tiles:
        rows = tiles.popleft()
        try:
            results = evaluate(rows)
        except (MemoryError, RuntimeError) as error:
            if not is_memory(error):
                raise
            if len(rows) <= SMALLEST_TILE:
                raise OutOfMemoryError(
                    f"not even a tile of {len(rows)} points fits into memory; "
                    "close other programs or use a smaller model"
                ) from None
            tiles.extendleft(reversed(np.array_split(rows, 2)))
            continue
        for output, result in zip(outputs, results, strict=True):
            output[rows] = result
        done += len(rows)
        progress(done / len(order))


class Tiling:
    """A cloud in tiles, searched once.

    Around the wanted rows of a tile come as many rings of neighbours as the network has layers, so that each layer
    finds every value it gathers: what is computed for a row does not depend on the tile size beyond float rounding, and
    memory grows with the tile, not with the cloud.

    Args:
        points: (n, 3), finite.
        neighbours: k of the graph, below n.
        layers: rings that an output depends on.
        tile: rows per tile.
        reverse: the tile also wants all rows that depend on its rows, as the gradient of a sum over the cloud needs.
    """

    def __init__(
        self, points: NDArray[np.float64], neighbours: int, layers: int, tile: int, *, reverse: bool = False
    ) -> None:
        self._neighbours, self._layers, self._tile = neighbours, layers, tile
        self._search = NeighbourSearch(points)
        self._place = np.full(len(points), -1, np.int32)
        self._dependents = self._reversed() if reverse else None

    def run(
        self,
        evaluate: Callable[[Tile], tuple[NDArray[Any], ...]],
        outputs: tuple[NDArray[Any], ...],
        progress: Callable[[float], None],
    ) -> None:
        """`run_in_tiles` over this cloud."""

        def gather(rows: NDArray[np.int64]) -> Tile:
            try:
                return self._gather(rows)
            except MemoryError:
                self._place.fill(-1)
                raise

        run_in_tiles(self._search.order, self._tile, lambda rows: evaluate(gather(rows)), outputs, progress)

    def _gather(self, rows: NDArray[np.int64]) -> Tile:
        place = self._place  # rows of the cloud to those of the tile, -1 outside
        wanted = rows if self._dependents is None else self._with_dependents(rows)
        rings: list[NDArray[np.integer[Any]]] = [wanted]
        found, reach, counts = [], [], []
        place[wanted] = np.arange(len(wanted), dtype=np.int32)
        total = len(wanted)
        for _ in range(self._layers):
            counts.append(total)
            if not len(rings[-1]):
                continue  # all rows are there
            distances, idx = self._search(rings[-1], self._neighbours)
            reach.append(distances[:, SPACING_NEIGHBOUR - 1])
            places = place[idx]
            unseen = places < 0
            outside = idx[unseen]
            ring = np.unique(outside)
            place[ring] = np.arange(total, total + len(ring), dtype=np.int32)
            places[unseen] = place[outside]
            found.append(places)
            rings.append(ring)
            total += len(ring)
        if len(rings[-1]):
            reach.append(self._search(rings[-1], SPACING_NEIGHBOUR)[0][:, -1])
        members = np.concatenate(rings)
        idx = np.concatenate(found)
        place[members] = -1
        spacing = np.maximum(local_spacing(np.concatenate(reach), idx), LEAST_SPACING)
        return Tile(rows, members, idx, spacing, tuple(reversed(counts)))

    def _reversed(self) -> "csr_array":
        from scipy.sparse import csr_array

        n, k = len(self._place), self._neighbours
        _, idx = self._search(np.arange(n), k)
        ones = np.ones(n * k, np.int8)
        forward = csr_array((ones, idx.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
        return csr_array(forward.T.tocsr())

    def _with_dependents(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows, then all rows whose outputs depend on them."""
        assert self._dependents is not None
        seen = np.zeros(len(self._place), dtype=bool)
        seen[rows] = True
        ring, rings = rows, [rows]
        for _ in range(self._layers):
            around = self._dependents[ring].indices
            ring = np.unique(around[~seen[around]]).astype(np.int64)
            seen[ring] = True
            rings.append(ring)
        return np.concatenate(rings)


def is_memory(error: BaseException) -> bool:
    """Whether it says that memory was not enough."""
    # torch has an error of its own, which is not imported where torch does not run
    return (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error)
    )
