"""The learned denoisers as benchmarked methods."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pcdenoise.cloud import Mesh, PointCloud
from pcdenoise.denoisers.engine import Engine
from pcdenoise.denoisers.models import load_model
from pcdenoise.denoisers.whole_cloud import denoise_with_report


@dataclass(frozen=True)
class Learned:
    """What `pcdenoise denoise` does, see `denoise_with_report`. Always blind: a noise that it is told of is not used.

    Args:
        model: one of `list_models()`, or the path of a `.safetensors` file.
        device: `auto`, `cpu` or `cuda`.
        quality: `fast`, `balanced` or `best`.
        passes: `auto` or a number.
        strength: factor of the displacement, from 0 to 2.
        rotations: orientations to average over; None goes by quality.

    Raises:
        ModelError, UsageError: see `load_model`; the weights are read at once.
    """

    source: ClassVar[str] = "pcdenoise"
    needs: ClassVar[frozenset[str]] = frozenset()

    model: str = "auto"
    device: str = "auto"
    quality: str = "balanced"
    passes: str | int = "auto"
    strength: float = 1.0
    rotations: int | None = None

    def __post_init__(self) -> None:
        assert self.engine is not None

    @cached_property
    def engine(self) -> Engine:
        """The network, loaded."""
        return load_model(self.model, self.device)

    @property
    def parameters(self) -> int:
        """Trained numbers of the network."""
        network: nn.Module = self.engine.model
        return sum(parameter.numel() for parameter in network.parameters())

    def __call__(
        self,
        points: NDArray[np.float64],
        sigma: float | None = None,  # noqa: ARG002 - always blind
        mesh: Mesh | None = None,  # noqa: ARG002 - for oracles
        seed: int = 0,
    ) -> NDArray[np.float64]:
        """Denoised positions (n, 3), see `Method`."""
        result, _ = denoise_with_report(
            PointCloud(points),
            self.engine,
            quality=self.quality,
            passes=self.passes,
            strength=self.strength,
            rotations=self.rotations,
            seed=seed,
        )
        return result.points
