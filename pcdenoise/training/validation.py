"""Validation on held-out shapes, blind as in use."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pcdenoise.datasets.noise_models import Gaussian
from pcdenoise.datasets.surfaces import Surface
from pcdenoise.denoisers.engine import Engine
from pcdenoise.denoisers.learned import told_sigma
from pcdenoise.errors import UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.noise import estimate_noise
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.metrics.point_to_mesh import point_to_mesh_distance
from pcdenoise.metrics.residuals import NEIGHBOURS, jarque_bera_pass_rate


@dataclass(frozen=True)
class Validation:
    """Chamfer distance and P2M (family A), both x 1e4, of all passes on noisy clouds of held-out shapes; and the part
    of their neighbourhoods in which what was taken away along the normal passes as Gaussian, as the noise is.

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

    def __call__(self, denoiser: Engine, surfaces: Sequence[Surface]) -> dict[str, float]:
        """`cd_0.01`, `p2m_0.01`, `jarque_bera_0.01`, ... per level and `score`, the mean of CD over that of the noisy
        cloud.
        """
        figures: dict[str, float] = {}
        ratios = []
        for level in self.levels:
            rows = []
            for index, surface in enumerate(surfaces):
                clean = surface.clouds[self.resolution][0].astype(np.float64)
                noisy = Gaussian(level)(clean, np.random.default_rng([self.seed, index]))
                frame = Frame.of(noisy)
                local = frame.to_local(noisy)
                sigma = told_sigma(estimate_noise(local), len(local))
                moved = denoiser(local, sigma, denoiser.passes)
                result = frame.to_world(moved)
                # where nothing was taken away, no noise was
                passed = np.nan_to_num(jarque_bera_pass_rate(frame.scale * (local - moved), clean))
                row = [1e4 * chamfer_distance(result, clean), 1e4 * chamfer_distance(noisy, clean), passed]
                if surface.mesh is not None:
                    row.append(1e4 * point_to_mesh_distance(result, *surface.mesh).total)
                rows.append(row)
            means = np.mean(rows, axis=0)
            figures[f"cd_{level:g}"] = float(means[0])
            if len(means) > 3:
                figures[f"p2m_{level:g}"] = float(means[3])
            figures[f"jarque_bera_{level:g}"] = float(means[2])
            ratios.append(means[0] / means[1])
        torch.cuda.empty_cache()
        return figures | {"score": float(np.mean(ratios))}
