import numpy as np
import pytest

from pcdenoise.errors import InputError
from pcdenoise.geometry.sampling import poisson_disk
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.floor import projection, sampling
from pcdenoise.metrics.table import measure


def test_the_oracle_is_on_the_mesh_and_no_place_is_nearer(ball, sphere):
    noisy = sphere + 0.05 * np.random.default_rng(0).standard_normal(sphere.shape)
    projected = projection(noisy, *ball)
    moved = np.linalg.norm(projected - noisy, axis=1)
    height = np.abs(np.linalg.norm(noisy, axis=1) - 1)
    np.testing.assert_allclose(moved, height, atol=1.5e-3)  # the faces are so far inside the sphere
    numbers = measure(Comparison(projected, sphere, ball, noisy))
    assert numbers["point_to_face"] < 1e-20
    assert numbers["share_worse"] == 0
    assert numbers["chamfer"] > 1e-3


def test_another_sampling(ball, sphere):
    one, other = (sampling(*ball, 500, seed) for seed in (0, 1))
    assert len(one) == 500
    np.testing.assert_array_equal(one, sampling(*ball, 500, 0))
    numbers = measure(Comparison(one, other, ball))
    assert numbers["point_to_face"] < 1e-20
    # as far apart as samplings of this density are: the mean squared distance to the nearest of m random points is
    # 1 / (pi density), and even ones are nearer
    spread = 1e4 * 2 / (np.pi * 500 / (4 * np.pi))
    assert 0.3 * spread < numbers["chamfer"] < 0.9 * spread


def test_it_is_not_the_sampling_that_a_data_set_made(ball):
    """`default_rng([0, 0])`, with which the first shape of a data set begins, gives the numbers of `default_rng(0)`."""
    for entropy in (0, [0, 0]):
        own = poisson_disk(*ball, 500, np.random.default_rng(entropy))[0]
        assert chamfer_distance(sampling(*ball, 500, 0), own) > 1e-3


def test_no_surface():
    with pytest.raises(InputError):
        sampling(np.zeros((3, 3)), np.array([[0, 1, 2]]), 5, 0)
