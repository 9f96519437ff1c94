"""Validation on held-out shapes, blind as in use."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh
from pcdenoise.datasets.noise_models import Gaussian
from pcdenoise.datasets.pairs import Pair
from pcdenoise.datasets.surfaces import Surface
from pcdenoise.denoisers.engine import Engine
from pcdenoise.denoisers.noise_level import noise_level
from pcdenoise.denoisers.staged import told_sigma
from pcdenoise.denoisers.whole_cloud import passes_for
from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.metrics.point_to_mesh import point_to_mesh_distance
from pcdenoise.metrics.residuals import NEIGHBOURS, jarque_bera_pass_rate

Scan = tuple[NDArray[np.float64], NDArray[np.float64], bool, Mesh | None]
"""Noisy and clean cloud, whether row i belongs to row i, and the mesh behind them."""


@dataclass(frozen=True)
class Validation:
    """Chamfer distance and P2M (family A), both x 1e4, of all passes on noisy clouds of held-out shapes; and the part
    of their neighbourhoods in which what was taken away along the normal passes as Gaussian, as drawn noise is.

    Args:
        levels: noise relative to the unit sphere.
        resolution: points per cloud.
        every: steps between validations.
        seed: of the noise.

    Raises:
        UsageError: a value outside its range.
    """

    levels: tuple[float, ...] = (0.01, 0.02, 0.03)
    resolution: int = 10_000
    every: int = 1000
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.levels or not min(self.levels) > 0:
            raise UsageError(f"validation.levels is {list(self.levels)}; give at least one level above 0")
        if self.every < 1:
            raise UsageError(f"validation.every is {self.every}; give at least 1 step")
        if self.resolution < 2 * NEIGHBOURS:
            raise UsageError(f"validation.resolution is {self.resolution}; give at least {2 * NEIGHBOURS} points")

    def __call__(self, denoiser: Engine, held_out: Sequence[Surface | Pair]) -> dict[str, float]:
        """`cd_0.01`, `p2m_0.01`, `jarque_bera_0.01`, ... per level, or `cd_measured`, ... of pairs; and `score`, the
        mean of CD over that of the noisy cloud.
        """
        figures: dict[str, float] = {}
        ratios = []
        for level, scans in self._scans(held_out).items():
            means = np.mean([_figures(denoiser, *scan) for scan in scans], axis=0)
            figures[f"cd_{level}"] = float(means[0])
            if len(means) > 3:
                figures[f"p2m_{level}"] = float(means[3])
            figures[f"jarque_bera_{level}"] = float(means[2])
            ratios.append(means[0] / means[1])
        torch.cuda.empty_cache()
        return figures | {"score": float(np.mean(ratios))}

    def _scans(self, held_out: Sequence[Surface | Pair]) -> dict[str, list[Scan]]:
        """What is measured together."""
        scans: dict[str, list[Scan]] = {}
        for index, held in enumerate(held_out):
            if isinstance(held, Pair):
                scans.setdefault("measured", []).append((held.noisy, held.clean, held.same_rows, None))
                continue
            clean = held.clouds[self.resolution][0].astype(np.float64)
            for level in self.levels:
                noisy = Gaussian(level)(clean, np.random.default_rng([self.seed, index]))
                scans.setdefault(f"{level:g}", []).append((noisy, clean, True, held.mesh))
        return scans


def _figures(
    denoiser: Engine, noisy: NDArray[np.float64], clean: NDArray[np.float64], same_rows: bool, mesh: Mesh | None
) -> list[float]:
    """CD after and before, Jarque-Bera pass rate and, of a mesh, P2M."""
    frame = Frame.of(noisy)
    local = frame.to_local(noisy)
    level = noise_level(local)
    moved = denoiser(local, told_sigma(level, len(local)), max(1, passes_for(level, denoiser)))
    result = frame.to_world(moved)
    # where nothing was taken away, no noise was
    passed = np.nan_to_num(jarque_bera_pass_rate(frame.scale * (local - moved), clean if same_rows else result))
    row = [1e4 * chamfer_distance(result, clean), 1e4 * chamfer_distance(noisy, clean), float(passed)]
    return row if mesh is None else [*row, 1e4 * point_to_mesh_distance(result, *mesh).total]
