"""Embeddings of the noise level."""

import math

import torch
from torch import Tensor

from pcdenoise.networks.fused import HIGHEST, LOWEST


def sigma_embedding(sigma: Tensor, channels: int) -> Tensor:
    """Sinusoidal embedding of `log sigma`: sine and cosine at frequencies from 0.25 to 4, geometrically spaced.

    Args:
        sigma: (..., 1) positive, in local spacings.
        channels: even.

    Returns:
        (..., channels).
    """
    frequencies = torch.logspace(math.log10(LOWEST), math.log10(HIGHEST), channels // 2, device=sigma.device)
    angles = torch.log(sigma) * frequencies.to(sigma.dtype)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
