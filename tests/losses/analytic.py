"""Patches of clean points of known density, and what the tests of the losses measure on them."""

import math

import torch
from scipy.spatial import cKDTree

from pcdenoise.patches import NoisyPatches

UNUSED = torch.Generator()


def patches_of(clean, noisy, sigma, *, estimate=None, spacing=1.0, count=1, normals=None):
    """Every point is in the core, and the surface is the clean points; sigma is a number or (n, 1)."""
    ones = torch.ones(len(clean), 1)
    surface = clean.double()
    return NoisyPatches(
        noisy=noisy.double(),
        clean=surface,
        sigma=sigma * ones,
        estimate=(sigma if estimate is None else estimate) * ones,
        rough_estimate=sigma * ones,
        spacing=spacing * ones,
        core=torch.arange(len(clean)),
        surface=surface,
        normals=torch.zeros(len(clean), 3) if normals is None else normals,
        tree=cKDTree(surface.numpy()),
        clouds=(len(clean) // count,) * count,
    )


def noisy_patches(clean, sigma, generator, **kwargs):
    """One noisy point of each clean point."""
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    return patches_of(clean, clean + sigma * noise, sigma, **kwargs)


def gaussian_patches(n, s, sigma, *, seed=0, **kwargs):
    """Clean points ~ N(0, s^2 I) and one noisy point of each."""
    generator = torch.Generator().manual_seed(seed)
    clean = s * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return noisy_patches(clean, sigma, generator, **kwargs)


def mean_and_error(values):
    """Mean of (n, ...) independent values and its standard error."""
    values = values.detach().double()
    return values.mean(dim=0), values.std(dim=0) / math.sqrt(len(values))


def batches(loss, field, parameter, draw, count):
    """Mean loss (count,) and its gradient (count, ...) on independent batches; draw(seed) makes their patches."""
    values, slopes = [], []
    for seed in range(count):
        patches = draw(seed)
        value = loss(field, patches.noisy, patches, torch.Generator().manual_seed(1000 + seed)).mean()
        slopes.append(torch.autograd.grad(value, parameter)[0])
        values.append(value.detach())
    return torch.stack(values), torch.stack(slopes)


def agree(first, second, errors=4.0):
    """Whether the means of two sets of independent values agree within so many standard errors of their difference."""
    (a, da), (b, db) = mean_and_error(first), mean_and_error(second)
    return bool(((a - b).abs() <= errors * (da**2 + db**2).sqrt()).all())
