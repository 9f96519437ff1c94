"""Patches of clean points of known density, and fields with a closed form, that the tests of the losses share."""

import torch
from scipy.spatial import cKDTree

from pcdenoise.patches import NoisyPatches


def patches_of(clean, noisy, sigma, *, estimate=None, spacing=1.0, count=1, normals=None):
    """Every point is in the core, and the surface is the clean points."""
    ones = torch.ones(len(clean), 1)
    surface = clean.double()
    return NoisyPatches(
        noisy=noisy.double(),
        clean=surface,
        sigma=sigma * ones,
        estimate=(sigma if estimate is None else estimate) * ones,
        spacing=spacing * ones,
        core=torch.arange(len(clean)),
        surface=surface,
        normals=torch.zeros(len(clean), 3) if normals is None else normals,
        tree=cKDTree(surface.numpy()),
        count=count,
    )


def gaussian_patches(n, s, sigma, *, seed=0, **kwargs):
    """Clean points ~ N(0, s^2 I) and one noisy point of each."""
    generator = torch.Generator().manual_seed(seed)
    clean = s * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    noisy = clean + sigma * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return patches_of(clean, noisy, sigma, **kwargs)
