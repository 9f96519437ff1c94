"""Noisy patches with what is known of their clean surface: what a loss sees."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor


@dataclass(frozen=True)
class NoisyPatches:
    """Patches of equally many points, laid side by side, so far apart that they are no neighbours of each other.

    All lengths are in one unit. Positions are float64, because differences of far-away positions are taken; all else
    is float32.

    Attributes:
        noisy: (n, 3) positions, patch after patch.
        clean: (n, 3) the clean point that each noisy point came from.
        sigma: (n, 1) true noise per coordinate, the same within a patch.
        estimate: (n, 1) what a blind estimator would say.
        rough_estimate: (n, 1) a worse one, by which a network decides where to look.
        spacing: (n, 1) local spacing of the clean cloud, the same within a patch.
        core: (c,) int64, the inner points of each patch; the rim lacks neighbours and gives no loss.
        surface: (m, 3) clean points of all patches and beyond their rims.
        normals: (m, 3) of `surface`.
        tree: of `surface`.
        clouds: points of the cloud that each patch was cut out of.
    """

    noisy: Tensor
    clean: Tensor
    sigma: Tensor
    estimate: Tensor
    rough_estimate: Tensor
    spacing: Tensor
    core: Tensor
    surface: Tensor
    normals: Tensor
    tree: cKDTree
    clouds: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of patches."""
        return len(self.clouds)

    def nearest_clean(self, x: Tensor, k: int) -> Tensor:
        """Indices (q, k) int64 into `surface` of the clean points nearest to x (q, 3), nearest first."""
        found = self.tree.query(x.detach().cpu().numpy(), np.arange(1, k + 1))[1]
        return torch.from_numpy(np.asarray(found, dtype=np.int64)).to(x.device)

    def to(self, device: torch.device | str) -> "NoisyPatches":
        """The same patches with their tensors on another device."""
        tensors: dict[str, Any] = {k: value.to(device) for k, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)
