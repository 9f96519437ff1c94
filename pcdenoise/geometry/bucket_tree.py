"""Exact nearest neighbours in plain torch, for clouds on a GPU: a k-d tree of equally full buckets.

A grid has one cell size for the whole cloud, and no size suits lidar, clusters and far outliers at once; buckets of
equally many points have their own. The tree needs no pointers: a sort per level halves all parts of the cloud
along the longest side of their boxes (Bentley, "Multidimensional binary search trees", 1975). Queries are answered
bucket by bucket, in dense blocks: an upper bound of the distance to the k-th neighbour from the points of one part,
all buckets within that bound, the k nearest of their points. Tested on CPU tensors only, not on a GPU.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BUCKET = 16  # points in a bucket: so many, up to twice as many
_CROWD = 64  # and k: buckets within reach of a block of queries, above which each query is asked for itself
_PAIRS = 1 << 23  # pairs of block and node held at once
_DISTANCES = 1 << 25  # distances held at once: 256 MB, a few times over
_BLOCKS = 1 << 16  # blocks of queries that descend together


class BucketTree:
    """A search tree over a cloud, on the device of its tensor. The same answer on every run and every device.

    Where far more than k points coincide, each of them is compared with all the others: give distinct points.
    Takes about 200 bytes per point while it is built and 60 afterwards; a search takes some 2 GB beside its answer.

    Args:
        points: (n, 3) finite; distances are taken in float64.

    Attributes:
        order: (n,) all rows, so sorted that rows near in the order are near in space.
    """

    def __init__(self, points: Tensor) -> None:
        self._points = points.detach().double()
        n = len(points)
        self._levels = max(0, (n // BUCKET).bit_length() - 1)
        self.order = self._sorted()
        rows, lengths = self._parts(self._levels)
        self._members = self.order[rows].int()
        # heap order: the root is node 1, the children of node i are 2 i and 2 i + 1, the buckets come last
        buckets = 1 << self._levels
        self._low, self._high = (points.new_empty(2 * buckets, 3, dtype=torch.float64) for _ in range(2))
        self._coordinates = self._points[self.order[rows]]
        self._low[buckets:], self._high[buckets:] = self._coordinates.amin(dim=1), self._coordinates.amax(dim=1)
        for level in reversed(range(self._levels)):
            here, below = slice(1 << level, 2 << level), slice(2 << level, 4 << level)
            self._low[here] = torch.minimum(*self._low[below].view(-1, 2, 3).unbind(dim=1))
            self._high[here] = torch.maximum(*self._high[below].view(-1, 2, 3).unbind(dim=1))
        # the last place of a shorter bucket repeats a point: far away for those who search
        self._repeated = lengths < rows.shape[1]

    def _parts(self, level: int) -> tuple[Tensor, Tensor]:
        """Places (parts, longest) in the order of each part of a level, the last repeated in shorter ones; lengths."""
        n, parts = len(self._points), 1 << level
        ends = torch.arange(parts + 1, device=self._points.device) * n // parts
        within = torch.arange(-(-n // parts), device=ends.device)
        return torch.minimum(ends[:-1, None] + within, ends[1:, None] - 1), ends.diff()

    def _sorted(self) -> Tensor:
        n, points = len(self._points), self._points
        place = torch.arange(n, device=points.device)
        order = place
        for level in range(self._levels):
            corners = points[order[self._parts(level)[0]]]
            low, high = corners.amin(dim=1), corners.amax(dim=1)
            axis = (high - low).argmax(dim=1)
            part = ((place + 1) * (1 << level) - 1) // n
            along = axis[part]
            height = points[order, along] - low[part, along]
            # the bits of a float32 that is not negative are in the order of its values
            key = (part << 32) | height.float().view(torch.int32).long()
            order = order[key.argsort(stable=True)]
        return order

    def neighbours(self, k: int, *, include_self: bool = False) -> tuple[Tensor, Tensor]:
        """Distances (n, k) float64 and indices (n, k) int32 of each point's neighbours, as `knn` gives them; k < n."""
        return self._search(self, k, "kept" if include_self else "dropped")

    def nearest(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The same of the k points nearest to each of other queries (m, 3), finite; k at most n."""
        return self._search(BucketTree(queries), k, "a stranger")

    def _search(self, asked: "BucketTree", k: int, itself: str) -> tuple[Tensor, Tensor]:
        rows, at = asked._members, asked._coordinates
        distances = at.new_empty(len(asked._points), k)
        answers = _Answers(distances, torch.empty(distances.shape, dtype=torch.int32, device=at.device), itself)
        per_visit = max(1, min(_BLOCKS, _DISTANCES // (rows.shape[1] * self._part_size(answers.asked))))
        for first in range(0, len(rows), per_visit):
            some = slice(first, first + per_visit)
            self._visit(at[some], rows[some], self._bound(at[some], answers.asked), answers)
        return answers.distances, answers.indices

    def _seed_level(self, k: int) -> int:
        """The lowest level whose parts all hold k points."""
        return max(0, min(self._levels, (len(self._points) // k).bit_length() - 1))

    def _part_size(self, k: int) -> int:
        return self._members.shape[1] << (self._levels - self._seed_level(k))

    def _bound(self, at: Tensor, k: int) -> Tensor:
        """Upper bound (b, q) of the squared distance to the k-th neighbour: that within a part nearby."""
        centre = (at.amin(dim=1) + at.amax(dim=1)) / 2
        node = torch.ones(len(at), dtype=torch.int64, device=at.device)
        level = self._seed_level(k)
        for _ in range(level):
            left, right = (
                _gap(centre, centre, self._low[child], self._high[child]) for child in (2 * node, 2 * node + 1)
            )
            node = 2 * node + (right < left)
        below = self._levels - level
        buckets = ((node << below) - (1 << self._levels))[:, None] + torch.arange(1 << below, device=at.device)
        return self._squared(at, buckets).kthvalue(k, dim=2).values

    def _visit(self, at: Tensor, rows: Tensor, bound: Tensor, answers: "_Answers") -> None:
        """Answer blocks of queries `at` (b, q, 3) that stand in `rows` (b, q) of the answer."""
        b, q, _ = at.shape
        low, high, reach = at.amin(dim=1), at.amax(dim=1), bound.amax(dim=1)
        block = torch.arange(b, device=at.device)
        node = torch.ones_like(block)
        crowded = torch.zeros(b, dtype=torch.bool, device=at.device)
        seed_level = self._seed_level(answers.asked)
        for level in range(1, self._levels + 1):
            block, node = block.repeat_interleave(2), (2 * node).repeat_interleave(2)
            node[1::2] += 1
            if q == 1 and level <= seed_level:  # a part of k points bounds the distance to the k-th
                across = _across(low[block], high[block], self._low[node], self._high[node])
                reach = reach.scatter_reduce(0, block, across, "amin")
            near = _gap(low[block], high[block], self._low[node], self._high[node]) <= reach[block]
            block, node = block[near], node[near]
            if q > 1:
                crowded |= torch.bincount(block, minlength=b) > _CROWD + answers.asked
                kept = ~crowded[block]
                block, node = block[kept], node[kept]
            elif len(block) > _PAIRS and b > 1:
                for half in (slice(0, b // 2), slice(b // 2, b)):
                    self._visit(at[half], rows[half], bound[half], answers)
                return
        self._answer(at, rows, block, node - (1 << self._levels), answers)
        if bool(crowded.any()):
            alone = at[crowded].view(-1, 1, 3), rows[crowded].view(-1, 1), bound[crowded].view(-1, 1)
            self._visit(*alone, answers)

    def _answer(self, at: Tensor, rows: Tensor, block: Tensor, bucket: Tensor, answers: "_Answers") -> None:
        """The nearest points of the buckets that are paired with each block, blocks in ascending order."""
        counts = torch.bincount(block, minlength=len(at))
        starts = counts.cumsum(0) - counts
        # blocks of as many buckets each come together; those of none were crowded
        ranked = counts.argsort(descending=True, stable=True)
        sizes = [size for size in counts[ranked].tolist() if size]
        first = 0
        while first < len(sizes):
            widest = sizes[first]
            per_pass = max(1, _DISTANCES // (at.shape[1] * widest * self._members.shape[1]))
            some = ranked[first : min(first + per_pass, len(sizes))]
            first += per_pass
            place = torch.arange(widest, device=at.device)
            outside = place >= counts[some, None]
            buckets = bucket[(starts[some, None] + place).clamp(max=len(bucket) - 1)]
            squared = self._squared(at[some], buckets, outside)
            nearest, position = squared.topk(answers.asked, dim=2, largest=False, sorted=True)
            candidates = self._members[buckets].flatten(1)
            found = candidates.gather(1, position.flatten(1)).view_as(position)
            answers.put(rows[some].flatten(), nearest.flatten(0, 1).sqrt(), found.flatten(0, 1))

    def _squared(self, at: Tensor, buckets: Tensor, outside: Tensor | None = None) -> Tensor:
        """Squared distances (b, q, w) of queries to the points of buckets (b, l), infinite `outside` (b, l).

        Never |a|^2 + |b|^2 - 2ab, which cancels; squares and sums one after the other, unfused, as scipy has them.
        """
        points = self._coordinates[buckets]
        points[:, :, -1].masked_fill_(self._repeated[buckets, None], torch.inf)
        if outside is not None:
            points.masked_fill_(outside[:, :, None, None], torch.inf)
        points = points.flatten(1, 2)
        total = (at[:, :, None, 0] - points[:, None, :, 0]).square_()
        for axis in (1, 2):
            total += (at[:, :, None, axis] - points[:, None, :, axis]).square_()
        return total


@dataclass(frozen=True)
class _Answers:
    """Where the answers go, and what becomes of a point among its own neighbours: dropped, kept, or not known."""

    distances: Tensor
    indices: Tensor
    itself: str

    @property
    def asked(self) -> int:
        """Neighbours to be found for each query."""
        return self.distances.shape[1] + (self.itself == "dropped")

    def put(self, rows: Tensor, distances: Tensor, indices: Tensor) -> None:
        """Answers (b, asked) to the queries `rows` (b,). Duplicates may have crowded a point out of its own."""
        if self.itself != "a stranger":
            own = indices == rows[:, None]
            crowded_out = ~own.any(dim=1)
            if self.itself == "dropped":
                own[:, -1] |= crowded_out
                distances, indices = (found[~own].view(len(rows), -1) for found in (distances, indices))
            else:
                indices[:, -1] = torch.where(crowded_out, rows, indices[:, -1])
        _sort_ties(distances, indices)
        self.distances[rows.long()] = distances
        self.indices[rows.long()] = indices


def _gap(low: Tensor, high: Tensor, other_low: Tensor, other_high: Tensor) -> Tensor:
    """Squared distance of boxes. Rounded like distances of points, it is never above that of points within."""
    apart = torch.maximum(other_low - high, low - other_high).clamp(min=0).square()
    return apart[:, 0] + apart[:, 1] + apart[:, 2]


def _across(low: Tensor, high: Tensor, other_low: Tensor, other_high: Tensor) -> Tensor:
    """Squared distance of the farthest points of boxes. It is never below that of points within."""
    apart = torch.maximum(other_high - low, high - other_low).square()
    return apart[:, 0] + apart[:, 1] + apart[:, 2]


def _sort_ties(distances: Tensor, indices: Tensor) -> None:
    """Puts equally distant neighbours in the order of their index, in place."""
    tied = (distances[:, 1:] == distances[:, :-1]).any(dim=1).nonzero()[:, 0]
    near, far = indices[tied].sort(dim=1)
    rank = distances[tied].gather(1, far).argsort(dim=1, stable=True)
    indices[tied] = near.gather(1, rank)
