import numpy as np
import pytest
import torch
import trimesh

from pcdenoise.denoisers import noise_level as module
from pcdenoise.denoisers.noise_level import CLEAN, LEAST_POINTS, SAMPLES, noise_level
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.noise import estimate_noise
from pcdenoise.geometry.sampling import poisson_disk


def sampled(mesh, n=10_000):
    return poisson_disk(mesh.vertices, mesh.faces, n, np.random.default_rng(0))[0]


def with_noise(clean, level, seed=0):
    """The cloud with noise of `level` spacings, in its own spacings, and the noise in these."""
    sigma = level * Frame.of(clean).scale
    noisy = clean + sigma * np.random.default_rng(seed).normal(size=clean.shape)
    frame = Frame.of(noisy)
    return frame.to_local(noisy), sigma / frame.scale


SPHERE = sampled(trimesh.creation.icosphere(subdivisions=5))
LARGE = sampled(trimesh.creation.icosphere(subdivisions=6), 30_000)
PLATE = sampled(trimesh.creation.box((1.0, 1.0, 0.03)))  # two spacings thick


@pytest.mark.parametrize("level", [0.25, 0.5, 1.0, 1.5, 3.0, 4.5])
@pytest.mark.parametrize("clean", [SPHERE, LARGE], ids=["10,000", "30,000"])
def test_noise_on_a_sphere_is_found(clean, level):
    noisy, sigma = with_noise(clean, level)
    assert noise_level(noisy) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("level", [0.3, 0.4])
def test_the_two_sides_of_a_thin_plate_are_no_noise(level):
    noisy, sigma = with_noise(PLATE, level)
    assert noise_level(noisy) == pytest.approx(sigma, rel=0.15)
    assert estimate_noise(noisy) > 2 * sigma


def test_a_clean_thin_plate_is_clean():
    plate = sampled(trimesh.creation.box((1.0, 1.0, 0.01)))  # less than a spacing thick
    clean = Frame.of(plate).to_local(plate)
    assert noise_level(clean) < CLEAN < 0.15 < estimate_noise(clean)


def test_a_clean_cloud_and_a_small_one_are_estimated_as_ever(monkeypatch):
    monkeypatch.setattr(module, "_network", None)
    clean = Frame.of(SPHERE).to_local(SPHERE)
    assert noise_level(clean) == estimate_noise(clean, SAMPLES) < CLEAN
    few, _ = with_noise(SPHERE[: LEAST_POINTS - 1], 0.5)
    assert noise_level(few) == estimate_noise(few, SAMPLES) > CLEAN


@pytest.mark.parametrize("clean", [SPHERE, LARGE], ids=["whole", "in patches"])
def test_neither_the_order_of_the_rows_nor_the_threads_matter(clean):
    noisy, _ = with_noise(clean, 0.7)
    level = noise_level(noisy)
    assert noise_level(np.random.default_rng(1).permutation(noisy)) == pytest.approx(level, rel=1e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert noise_level(noisy) == level
    finally:
        torch.set_num_threads(threads)


def test_outliers_do_not_raise_it():
    noisy, sigma = with_noise(SPHERE, 0.5)
    rng = np.random.default_rng(1)
    outliers = rng.uniform(noisy.min(axis=0), noisy.max(axis=0), (300, 3))
    assert noise_level(np.concatenate([noisy, outliers])) == pytest.approx(sigma, rel=0.15)
