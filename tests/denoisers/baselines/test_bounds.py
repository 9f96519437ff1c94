"""The two ends of every table: nothing done, and the truth known."""

import numpy as np
import pytest
import trimesh
from noisy_surfaces import noisy_ball

from pcdenoise.denoisers.catalogue import denoising_method
from pcdenoise.errors import UsageError


def test_identity_is_a_copy():
    noisy = noisy_ball(50)
    result = denoising_method("identity")(noisy)
    np.testing.assert_array_equal(result, noisy)
    assert not np.shares_memory(result, noisy)


def test_the_oracle_is_exact():
    box = trimesh.creation.box((2.0, 2.0, 2.0))
    oracle = denoising_method("projection")
    assert oracle.needs == {"mesh"}
    points = np.array([[0.1, 0.2, 1.3], [3.0, 3.0, 3.0], [0.9, 0.0, 0.0]])
    expected = [[0.1, 0.2, 1.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    np.testing.assert_allclose(oracle(points, mesh=(box.vertices, box.faces)), expected, atol=1e-12)


def test_the_oracle_wants_the_truth():
    with pytest.raises(UsageError, match="projection is an oracle; give it the true mesh"):
        denoising_method("projection")(noisy_ball(50))
