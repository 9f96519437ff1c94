import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TOOL = Path(__file__).parents[2] / "tools" / "nearest_point_intermediates.py"
SPACING = (4 * np.pi / 6000) ** 0.5  # of the sphere
LEVELS = [0.1, 0.25, 0.5, 1.0, 2.0]


@pytest.fixture(scope="module")
def tested(sphere):
    """The experiment on a sphere, for ten seeds: spread and p-value (10, levels, 2) of both kinds."""
    spec = importlib.util.spec_from_file_location(TOOL.stem, TOOL)
    tool = sys.modules[TOOL.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    runs = [
        list(tool.compare(torch.from_numpy(sphere), SPACING, LEVELS, torch.Generator().manual_seed(seed)))
        for seed in range(10)
    ]
    assert [[level for level, *_ in run] for run in runs] == [LEVELS] * 10
    return np.array([[[[t.spread, t.p_value] for t in (a, b)] for _, a, b in run] for run in runs])


def test_intermediates_of_the_forward_process_are_gaussian(tested):
    spread, p_value = tested[:, :, 0].transpose(2, 0, 1)
    assert np.abs(spread - 1).max() < 4 / np.sqrt(2 * 18_000)
    assert (p_value < 0.05).sum() <= 7  # 2.5 of 50 expected
    assert p_value.min() > 1e-4


def test_intermediates_towards_the_nearest_point_are_not(tested):
    spread, p_value = tested[:, :, 1].transpose(2, 0, 1)
    assert (p_value[:, :-1] < 1e-4).all()
    assert (spread[:, :-1] > 1.3).all()
    # at T nothing is made yet: both are the noisy cloud
    np.testing.assert_allclose(p_value[:, -1], tested[:, -1, 0, 1], rtol=1e-3)
