"""Patches that resemble each other are made alike."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import cg

from pcdenoise.denoisers.baselines.tuned import TunedMethod
from pcdenoise.geometry.farthest_point import farthest_point_sampling
from pcdenoise.geometry.neighbours import build_tree, knn, query_tree
from pcdenoise.geometry.normals import plane_normals

_BLOCK = 1 << 20  # pairs of points held at once
_TOLERANCE, _STEPS = 1e-4, 200


@dataclass(frozen=True)
class Glr(TunedMethod):
    """Graph Laplacian regularisation of patches.

    Patches are the `neighbours` points around centres c that farthest-point sampling picks, taken relative to c. Each
    is linked to the `linked` patches whose centres are nearest. Of two linked patches, laid upon each other, each point
    of the one is paired with the point of the other that is nearest along the tangent plane of the one; the heights
    h of pairs over that plane tell how much the patches differ, and so what their pairs weigh:

        w = exp(-mean (h_i - h_j)^2 / (2 (softness noise)^2))
        min_P  sum_pairs w |(p_i - c_i) - (p_j - c_j)|^2 / m  +  fidelity |P - Q|^2,   Q the noisy cloud,

    with m the pairs per point, a sparse linear system per coordinate, solved by conjugate gradients. `passes` times,
    each with patches, links and weights of the points where they are by then.

    It differs from the paper in three places: a centre is first lifted to the mean height of its patch, because its
    noise would lift the whole patch (without it the error on a sphere grew); pairs are nearest points, where the paper
    interpolates between three; and fidelity and softness stay the same in all passes.

    Args:
        neighbours: points of a patch, at least 4.
        share: of the points that are centres, above 0 and at most 1.
        linked: patches that each is compared with, at least 1.
        softness: above 0, in sigmas.
        fidelity: above 0.
        passes: at least 1.

    Raises:
        UsageError: a number out of its range.
    """

    source: ClassVar[str] = (
        "Zeng, Cheung, Ng, Pang and Yang, 3D point cloud denoising using graph Laplacian regularization of a low "
        "dimensional manifold model (TIP 2020)"
    )
    least: ClassVar[int] = 32

    neighbours: int = 30
    share: float = 0.5
    linked: int = 8
    softness: float = 2.0
    fidelity: float = 0.35
    passes: int = 2

    def check(self) -> None:
        """See `TunedMethod`."""
        self._require_whole("neighbours", 4)
        self._require_positive("share")
        self._require(self.share <= 1, "share", self.share, "a number above 0 and at most 1")
        self._require_whole("linked")
        self._require_positive("softness")
        self._require_positive("fidelity")
        self._require_whole("passes")

    def smooth(self, points: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
        """See `TunedMethod`."""
        # The first centre is the point farthest from the middle, so that the order of the rows does not matter.
        start = int(np.argmax((points**2).sum(axis=1)))
        count = max(2, round(self.share * len(points)))
        centres = farthest_point_sampling(points, min(count, len(points)), start)
        moved = points
        for _ in range(self.passes):
            moved = self._regularised(points, moved, centres, noise)
        return moved

    def _regularised(
        self, noisy: NDArray[np.float64], points: NDArray[np.float64], centres: NDArray[np.int64], noise: float
    ) -> NDArray[np.float64]:
        """The minimum P for patches, links and weights of `points`."""
        n, k, linked = len(points), min(self.neighbours, len(points)), min(self.linked, len(centres) - 1)
        about = points[centres]
        _, members = query_tree(build_tree(points), about, k)
        _, links = knn(about, linked)
        normals = plane_normals(points)[centres]
        lift = np.einsum("mki,mi->m", points[members] - about[:, None], normals) / k
        about = about + lift[:, None] * normals
        pull = np.zeros((n, 3))
        rows = max(1, _BLOCK // (linked * k * k))
        parts: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]] = []
        for first in range(0, len(centres), rows):
            block = slice(first, first + rows)
            one, other = points[members[block]] - about[block, None], points[members[links[block]]]
            other = other - about[links[block]][:, :, None]
            across = normals[block]
            height = np.einsum("mki,mi->mk", one, across)
            heights = np.einsum("mlki,mi->mlk", other, across)
            flat = one - height[..., None] * across[:, None]
            flats = other - heights[..., None] * across[:, None, None]
            # squared distances along the plane, less the term of the first patch, which moves no minimum
            along = (flats**2).sum(axis=3)[:, :, None] - 2 * np.einsum("mki,mlji->mlkj", flat, flats)
            nearest = along.argmin(axis=3)
            gap = height[:, None] - np.take_along_axis(heights, nearest, axis=2)
            weight = np.exp(-(gap**2).mean(axis=2) / (2 * (self.softness * noise) ** 2)) / (linked * k * self.share)
            pairs = np.take_along_axis(members[links[block]], nearest, axis=2)
            i = np.broadcast_to(members[block][:, None], pairs.shape).ravel()
            j, w = pairs.ravel(), np.broadcast_to(weight[..., None], pairs.shape).ravel()
            shift = np.broadcast_to((about[block, None] - about[links[block]])[:, :, None], (*pairs.shape, 3))
            shift = w[:, None] * shift.reshape(-1, 3)
            for axis in range(3):
                pull[:, axis] += np.bincount(i, shift[:, axis], n) - np.bincount(j, shift[:, axis], n)
            parts.append((i, j, w))
        i, j, w = (np.concatenate(column) for column in zip(*parts, strict=True))
        adjacency = coo_array((w, (i, j)), shape=(n, n)).tocsr()
        adjacency = adjacency + adjacency.T
        laplacian = diags_array(adjacency.sum(axis=1)) - adjacency
        system = laplacian + self.fidelity * diags_array(np.ones(n))
        right = self.fidelity * noisy + pull
        inverse = diags_array(1 / system.diagonal())
        columns = [
            cg(system, right[:, axis], points[:, axis], rtol=_TOLERANCE, maxiter=_STEPS, M=inverse)[0]
            for axis in range(3)
        ]
        return np.stack(columns, axis=1)
