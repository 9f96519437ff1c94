"""Noisy surfaces whose distance is known, and a skip for libraries that are not there."""

import numpy as np
import pytest

LIBRARIES = {"jet": "CGAL", "bilateral": "CGAL", "wlop": "CGAL", "rimls": "pymeshlab"}


def needs_library(name):
    """Skip where the library of a method is not installed."""
    if name in LIBRARIES:
        pytest.importorskip(
            LIBRARIES[name], reason=f"{name} needs pip install 'pcdenoise[baselines]'", exc_type=ImportError
        )


def plane(n=3000, sigma=0.5, seed=0):
    """n points of z = 0, one per unit of area, and the same with noise along z alone."""
    rng = np.random.default_rng(seed)
    flat = np.zeros((n, 3))
    flat[:, :2] = rng.random((n, 2)) * np.sqrt(n)
    return flat, flat + sigma * rng.standard_normal((n, 1)) * [0, 0, 1]


def inside(points, margin=8.0):
    """Rows of a plane that lie far from its rim."""
    size = points[:, :2].max()
    return ((points[:, :2] > margin) & (points[:, :2] < size - margin)).all(axis=1)


def kept_deviation(method, sigma=0.1, n=6000):
    """What part of the noise of a plane `smooth` leaves, far from its rim."""
    _, noisy = plane(n, sigma)
    rows = inside(noisy)
    return method.smooth(noisy, sigma)[rows, 2].std() / noisy[rows, 2].std()


def sphere(n=2000, seed=0):
    """n random points of the unit sphere."""
    x = np.random.default_rng(seed).standard_normal((n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def noisy_ball(n=2000, sigma=0.05, seed=0):
    """n points of the unit sphere, spread evenly, with Gaussian noise."""
    i = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / n), np.pi * (1 + 5**0.5) * i
    x = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    return x + sigma * np.random.default_rng(seed).standard_normal((n, 3))


def from_sphere(points):
    """Mean distance to the unit sphere."""
    return np.abs(np.linalg.norm(points, axis=1) - 1).mean()
