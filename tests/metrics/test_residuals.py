import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from pcdenoise.errors import InputError
from pcdenoise.metrics.residuals import (
    DIRECTIONS,
    SurfaceFrames,
    check_residuals,
    disjoint_neighbourhoods,
    jarque_bera_pass_rate,
    jarque_bera_pass_rates,
)
from pcdenoise.schedules import VariancePreserving

PITCH = 0.02
HALF = np.array([0.5, 0.3, 0.2])


@pytest.fixture(scope="module")
def box():
    """About 6000 points on the faces of a box, on a jittered grid of pitch PITCH."""
    rng = np.random.default_rng(0)
    faces = []
    for axis in range(3):
        a, b = (i for i in range(3) if i != axis)
        u, v = np.meshgrid(*(np.arange(-HALF[i] + PITCH / 2, HALF[i], PITCH) for i in (a, b)), indexing="ij")
        for side in (-1, 1):
            face = np.empty((u.size, 3))
            face[:, axis] = side * HALF[axis]
            face[:, a], face[:, b] = (w.ravel() + 0.3 * PITCH * rng.uniform(-1, 1, u.size) for w in (u, v))
            faces.append(face)
    return np.concatenate(faces)


@pytest.fixture(scope="module")
def torus():
    """8000 points of a ring, which no middle sees all of from inside, and its outer normals."""
    rng = np.random.default_rng(0)
    around, across = 2 * np.pi * rng.random((2, 8000))
    outwards = np.stack([np.cos(around), np.sin(around), np.zeros(8000)], axis=1)
    normals = np.cos(across)[:, None] * outwards + np.sin(across)[:, None] * np.array([0, 0, 1.0])
    return outwards + 0.4 * normals, normals


def planed(points, depth):
    """The box with its edges cut off at 45 degrees, `depth` below where they were."""
    inside, moved = HALF - np.abs(points), np.abs(points)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        moved[:, [a, b]] -= np.maximum(np.sqrt(2) * depth - inside[:, a] - inside[:, b], 0)[:, None] / 2
    return np.sign(points) * moved


def test_neighbourhoods_are_disjoint_equal_and_close_together(sphere):
    groups = disjoint_neighbourhoods(sphere[:5990], 64)
    assert groups.shape == (93, 64)
    assert len(np.unique(groups)) == 93 * 64
    middles = sphere[groups].mean(axis=1, keepdims=True)
    spread = np.linalg.norm(sphere[groups] - middles, axis=2)
    # 64 points fill a disc of radius 8 / sqrt(pi) spacings = 0.207
    assert np.sqrt((spread**2).mean()) < 1.3 * 0.207 / np.sqrt(2)


def test_normals_of_a_ring_point_outwards(torus):
    points, normals = torus
    frames = SurfaceFrames.of(points)
    assert (np.einsum("ni,ni->n", frames.normals, normals) > 0.9).mean() > 0.999


def test_normals_of_two_spheres_point_outwards(sphere):
    apart = np.concatenate([sphere, sphere + np.array([9.0, 0, 0])])
    frames = SurfaceFrames.of(apart)
    assert (np.einsum("ni,ni->n", frames.normals, np.concatenate([sphere, sphere])) > 0.99).all()


def test_directions_are_orthonormal(torus):
    points, _ = torus
    frames = SurfaceFrames.of(points)
    axes = np.concatenate([frames.normals[:, None], frames.tangents], axis=1)
    np.testing.assert_allclose(axes @ np.swapaxes(axes, 1, 2), np.tile(np.eye(3), (len(points), 1, 1)), atol=1e-12)
    residual = np.random.default_rng(0).normal(size=points.shape)
    along = frames.components(residual)
    assert tuple(along) == DIRECTIONS
    np.testing.assert_array_equal(along["y"], residual[:, 1])
    lengths = along["normal"] ** 2 + along["tangent 1"] ** 2 + along["tangent 2"] ** 2
    np.testing.assert_allclose(lengths, (residual**2).sum(axis=1))


def test_a_box_bends_at_its_edges(box):
    frames = SurfaceFrames.of(box, 32)
    to_edge = np.sort(HALF - np.abs(box), axis=1)[:, 1][frames.groups]
    inner, edge = to_edge.min(axis=1) > 2 * PITCH, (to_edge < 2 * PITCH).mean(axis=1) > 0.5
    assert inner.sum() > 20
    assert edge.sum() > 20
    assert frames.bending[inner].max() < 0.01
    assert 0.2 < np.median(frames.bending[edge]) < 0.67


def test_gaussian_residuals_pass(sphere):
    lows, failing, frames = [], [], SurfaceFrames.of(sphere, 32)
    for seed in range(20):
        check = check_residuals(0.03 * np.random.default_rng(seed).standard_normal(sphere.shape), frames)
        lows.append([check.directions[name].low for name in DIRECTIONS])
        failing.append(check.directions["normal"].failing > 0)
    # 187 neighbourhoods, three independent directions
    np.testing.assert_allclose(np.mean(lows, axis=0), 0.05, atol=4 * np.sqrt(0.05 * 0.95 / (20 * 187)))
    assert sum(failing) <= 4  # one expected: a neighbourhood fails in 5 % of the clouds


def test_the_figures_of_all_residuals(sphere):
    residual = 0.03 * np.random.default_rng(0).standard_normal(sphere.shape) + 0.01 * sphere
    check = check_residuals(residual, SurfaceFrames.of(sphere, 32))
    normal = check.directions["normal"]
    assert normal.mean == pytest.approx(0.01, abs=4 * 0.03 / np.sqrt(6000))
    assert normal.deviation == pytest.approx(0.03, rel=0.04)
    assert normal.tested == 187
    assert check.points == len(check.normal) == 6000
    assert check.directions["x"].mean == pytest.approx(residual[:, 0].mean())


def test_a_level_that_varies_over_the_scan_passes_in_each_place(sphere):
    level = 0.03 * np.exp(np.log(4) * sphere[:, :1])
    residual = level * np.random.default_rng(0).standard_normal(sphere.shape)
    normal = check_residuals(residual, SurfaceFrames.of(sphere, 32)).directions["normal"]
    assert normal.excess_kurtosis > 1
    assert normal.p_value < 1e-5
    assert normal.low < 0.12
    assert normal.failing < 0.02


def test_planed_edges_are_shifted_where_they_were_planed(box):
    sigma = PITCH / 2
    noisy, smooth = box + sigma * np.random.default_rng(0).standard_normal(box.shape), planed(box, 4 * sigma)
    check = check_residuals(noisy - smooth, SurfaceFrames.of(smooth))
    depth = np.linalg.norm(box - smooth, axis=1)[check.frames.groups].mean(axis=1)
    assert check.shifted[depth > sigma].mean() > 0.95
    assert (depth[check.shifted] == 0).mean() < 0.1
    assert check.directions["normal"].mean > 0.1 * sigma
    assert check.suspect_curved > 0.9
    assert check.suspect_flat < check.suspect_curved - 0.3


def test_a_shrunken_sphere_is_shifted_everywhere_and_yet_gaussian(sphere):
    residual = 0.03 * np.random.default_rng(0).standard_normal(sphere.shape) + 0.03 * sphere
    normal = check_residuals(residual, SurfaceFrames.of(0.97 * sphere)).directions["normal"]
    assert normal.shifted == 1
    assert normal.mean == pytest.approx(0.03, rel=0.1)
    assert normal.failing < 0.03
    assert normal.low < 0.12


def test_a_spike_in_a_few_points_is_not_gaussian(sphere):
    residual = 0.03 * np.random.default_rng(0).standard_normal(sphere.shape)
    top = sphere[:, 2] > 0.9
    spiked = np.flatnonzero(top)[::8]
    residual[spiked] += 0.18 * sphere[spiked]
    check = check_residuals(residual, SurfaceFrames.of(sphere))
    inside = top[check.frames.groups].all(axis=1)
    assert check.failing[inside].all()
    assert not check.failing[~top[check.frames.groups].any(axis=1)].any()


def test_what_did_not_move_is_not_tested(sphere):
    residual = 0.03 * np.random.default_rng(0).standard_normal(sphere.shape)
    residual[sphere[:, 2] > 0] = 0
    check = check_residuals(residual, SurfaceFrames.of(sphere, 32))
    assert 80 < check.directions["normal"].tested < 110
    assert np.isnan(check.p_values).sum() == 187 - check.directions["normal"].tested
    assert np.isnan(jarque_bera_pass_rate(np.zeros_like(sphere), sphere))


def test_pass_rate(sphere):
    rng = np.random.default_rng(0)
    assert jarque_bera_pass_rate(0.03 * rng.standard_normal(sphere.shape), sphere) > 0.98
    gaussian, laplace = 0.03 * rng.standard_normal((6000, 1)), 0.03 * rng.laplace(size=(6000, 1))
    across = np.cross(sphere, [0.6, 0.0, 0.8])
    residual = laplace * sphere + gaussian * across
    assert jarque_bera_pass_rate(residual, sphere, neighbours=128) < 0.4
    residual = gaussian * sphere + laplace * across
    assert jarque_bera_pass_rate(residual, sphere, neighbours=128) > 0.95
    assert jarque_bera_pass_rate(residual, sphere, neighbours=128, direction="tangent 1") < 0.8


def test_all_directions_together_pass_only_if_the_noise_is_the_same_in_all(sphere):
    noise = 0.03 * np.random.default_rng(0).standard_normal(sphere.shape)
    assert jarque_bera_pass_rate(noise, sphere, direction="all") > 0.98
    flat = noise - 0.8 * np.einsum("ni,ni->n", noise, sphere)[:, None] * sphere
    assert jarque_bera_pass_rate(flat, sphere) > 0.98
    assert jarque_bera_pass_rate(flat, sphere, direction="all") < 0.6


def test_pass_rates_of_the_forward_process_and_of_nearest_points(sphere):
    spacing = np.sqrt(4 * np.pi / 6000)
    schedule = VariancePreserving(steps=20, beta_last=0.2)
    rng = np.random.default_rng(0)
    scale, x, forward = 1.0, sphere, []
    for beta in schedule.betas():
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * spacing * rng.standard_normal(sphere.shape)
        scale *= np.sqrt(1 - beta)
        forward.append(torch.from_numpy(x / scale))
    rates = list(jarque_bera_pass_rates(forward, torch.from_numpy(sphere)))
    assert len(rates) == 20
    assert min(rates) > 0.95

    sigmas = spacing * schedule.sigmas()
    last = forward[-1].numpy()
    nearest = sphere[cKDTree(sphere).query(last)[1]]
    assigned = [nearest + sigma / sigmas[-1] * (last - nearest) for sigma in sigmas[:10]]
    assert max(jarque_bera_pass_rates(assigned, sphere)) < 0.6


def test_mistakes(sphere):
    with pytest.raises(InputError, match="100 points are fewer than two neighbourhoods of 64; ask for smaller"):
        SurfaceFrames.of(sphere[:100])
    frames = SurfaceFrames.of(sphere)
    with pytest.raises(InputError, match=r"shape \(100, 3\) for 6,000 points"):
        check_residuals(np.ones((100, 3)), frames)
    with pytest.raises(InputError, match="finite"):
        check_residuals(np.full((6000, 3), np.nan), frames)
