"""A cloud as patches with nothing but positions and noise, for tests of networks."""

import torch
from scipy.spatial import cKDTree

from pcdenoise.patches import NoisyPatches


def patches_of(points, sigma, cloud=None):
    """One patch, noisy points (n, 3) as their own clean ones, of a cloud of so many points."""
    x = torch.as_tensor(points, dtype=torch.float64)
    level = torch.full((len(x), 1), sigma)
    normals = torch.zeros(len(x), 3)
    return NoisyPatches(
        noisy=x, clean=x, sigma=level, estimate=level, rough_estimate=level, spacing=torch.ones_like(level),
        core=torch.arange(len(x)), surface=x, normals=normals, tree=cKDTree(x.numpy()), clouds=(cloud or len(x),),
    )  # fmt: skip
