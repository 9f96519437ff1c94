import numpy as np
import pytest
import torch

from pcdenoise.datasets.noise_models.model import Sample
from pcdenoise.errors import UsageError
from pcdenoise.training.patches import OTHER_NOISE, PATCH_DISTANCE, CleanCloud, PatchSampler


def test_a_batch_depends_on_seed_and_step_alone(cloud):
    sampler = PatchSampler(points=200, patches=2)
    a, b, c = sampler.batch([cloud], 3), sampler.batch([cloud], 3), sampler.batch([cloud], 4)
    np.testing.assert_array_equal(a.noisy, b.noisy)
    assert not np.array_equal(a.noisy, c.noisy)
    assert not np.array_equal(a.noisy, PatchSampler(points=200, patches=2, seed=1).batch([cloud], 3).noisy)
    assert a.noisy.shape == (400, 3)
    assert len(a.core) == 240


def test_a_part_of_a_batch_has_the_patches_of_the_whole(cloud):
    sampler = PatchSampler(points=200, patches=4)
    whole, part = sampler.batch([cloud], 3), sampler.batch([cloud], 3, range(2, 4))
    shift = torch.tensor([2 * PATCH_DISTANCE, 0, 0])
    torch.testing.assert_close(part.noisy + shift, whole.noisy[400:], rtol=0, atol=1e-12)
    assert torch.equal(part.sigma, whole.sigma[400:])
    assert torch.equal(part.core + 400, whole.core[240:])
    assert part.count == 2


def test_the_noise_of_a_batch_is_what_it_says(cloud):
    sampler = PatchSampler(points=1500, patches=8, sigma=(0.01, 0.03), faint=0.0)
    batch = sampler.batch([cloud], 0)
    # points near a patch's centre are chosen by their noisy position, which biases only the rim
    relative = ((batch.noisy - batch.clean) / batch.sigma)[batch.core]
    assert relative.std() == pytest.approx(1, abs=0.02)
    assert 0.01 <= batch.sigma.min() <= batch.sigma.max() <= 0.03
    np.testing.assert_allclose(np.linalg.norm(batch.normals, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("noise", OTHER_NOISE)
def test_other_noise_has_the_same_deviation(noise):
    sample = Sample(np.zeros((200_000, 3)), np.arange(200_000))
    moves = noise(0.02).displacements(sample, np.random.default_rng(0))
    np.testing.assert_allclose(moves.std(axis=0), 0.02, rtol=0.01)


def test_a_share_of_the_patches_has_other_noise(cloud):
    """Uniform noise ends at sqrt(5) sigma, discrete noise lies on the axes: both are told from Gaussian noise."""

    def ends(others):
        sampler = PatchSampler(points=400, patches=40, sigma=(0.02, 0.02), faint=0.0, others=others)
        batch = sampler.batch([cloud], 0)
        lengths = (batch.noisy - batch.clean).norm(dim=1).view(40, 400) / 0.02
        return int((lengths.amax(dim=1) < 5**0.5 + 1e-6).sum())

    assert ends(0.0) == 0
    assert 8 < ends(1.0) < 33  # two kinds of four end there
    with pytest.raises(UsageError, match=r"patches.others=1.5"):
        PatchSampler(others=1.5)


def test_the_rough_estimate_is_another_one(cloud):
    def errors(**kwargs):
        """Mean distance of both estimates from the truth, and whether they are the same."""
        batch = PatchSampler(points=100, patches=40, estimate_error=0.05, **kwargs).batch([cloud], 0)
        estimates = (batch.estimate, batch.rough_estimate)
        return *(float((e / batch.sigma).log().abs().mean()) for e in estimates), torch.equal(*estimates)

    near, far, same = errors(rough_error=0.5)
    assert 0.02 < near < 0.15 < 0.4 < far < 1.4
    assert not same
    near, far, same = errors()
    assert near == far < 0.15
    assert same


def test_patches_are_as_large_as_the_smallest_cloud_allows(cloud):
    few = CleanCloud(cloud.points[::40], cloud.normals[::40])
    batch = PatchSampler(points=200, patches=6).batch([cloud, few], 0)
    assert len(batch.noisy) == 6 * 150
    spacings = batch.spacing.view(6, 150)[:, 0].tolist()
    assert len(set(spacings)) == 2  # both clouds are among them
    assert batch.clouds == tuple(150 if spacing == max(spacings) else 6000 for spacing in spacings)
    # a whole cloud has no rim
    assert len(batch.core) == sum(150 if spacing == max(spacings) else 90 for spacing in spacings)


def test_a_patch_says_where_it_comes_from(sphere):
    numbered = CleanCloud(sphere, np.arange(len(sphere))[:, None] * [1.0, 0.0, 0.0], "ball")
    sampler = PatchSampler(points=200, patches=3, sigma=(1e-6, 2e-6), faint=0.0)
    for number in range(3):
        batch = sampler.batch([numbered], 7, range(number, number + 1))
        row, sigma = batch.normals[0].norm(), batch.sigma[0].item()
        assert sampler.describe([numbered], 7, number) == f"ball around row {row:.0f} with sigma {sigma:.4g}"


@pytest.mark.parametrize(
    "values", [{"points": 0}, {"patches": 0}, {"core": 0.0}, {"faint": 2.0}, {"sigma": (0.02, 0.01)}, {"sigma": (0.1,)}]
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(UsageError, match=f"patches.{next(iter(values))}"):
        PatchSampler(**values)
