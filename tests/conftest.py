"""Surfaces and clouds of our own that several tests use."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):  # they share the processors
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported and where a kernel is defined


@pytest.fixture(scope="session")
def sphere():
    """6000 evenly spread points of the unit sphere (Fibonacci lattice)."""
    i = np.arange(6000) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / 6000), np.pi * (1 + 5**0.5) * i
    return np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)


@pytest.fixture(scope="session")
def noisy_sphere(sphere):
    """The sphere with Gaussian noise of about 0.7 spacings (spacing: sqrt(4 pi / 6000) = 0.046)."""
    return sphere + 0.032 * np.random.default_rng(0).standard_normal(sphere.shape)
