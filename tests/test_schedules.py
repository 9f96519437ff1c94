import math

import numpy as np
import pytest
import torch

from pcdenoise.errors import UsageError
from pcdenoise.schedules import Geometric, Karras, VariancePreserving, descend


def column(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)[:, None]


def rows(ladder, told, *args):
    """(levels, n)."""
    return torch.stack(list(ladder.rungs(told, *args)))[:, :, 0]


def test_geometric_levels_have_one_ratio():
    sigmas = Geometric(lowest=0.1, highest=5.0, count=7).sigmas()
    assert sigmas.shape == (7,)
    assert (sigmas[0], sigmas[-1]) == (5.0, 0.1)
    np.testing.assert_allclose(sigmas[1:] / sigmas[:-1], (0.1 / 5.0) ** (1 / 6), rtol=1e-12)


def test_karras_levels_are_those_of_the_paper():
    """Table 1 of Karras et al. 2022: `(max^(1/rho) + i / (N - 1) (min^(1/rho) - max^(1/rho)))^rho`."""
    sigmas = Karras(lowest=0.002, highest=80.0, count=18, rho=7.0).sigmas()
    assert (sigmas[0], sigmas[-1]) == (80.0, 0.002)
    expected = [(80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)]
    np.testing.assert_allclose(sigmas, expected, rtol=1e-12)
    np.testing.assert_allclose(Karras(1.0, 4.0, 4, rho=1.0).sigmas(), [4, 3, 2, 1])
    np.testing.assert_allclose(Karras(rho=1e7).sigmas(), Geometric().sigmas(), rtol=1e-5)


def test_variance_preserving_process_has_the_variance_of_its_chain():
    """x^t = sqrt(1 - beta) x^{t-1} + sqrt(beta) z step by step gives gain sqrt(abar) and variance 1 - abar."""
    ladder = VariancePreserving(steps=50)
    gain, variance = 1.0, 0.0
    for beta, bar, sigma in zip(ladder.betas(), ladder.alphas_bar(), ladder.sigmas(), strict=True):
        gain, variance = gain * math.sqrt(1 - beta), (1 - beta) * variance + beta
        assert gain**2 == pytest.approx(bar, rel=1e-12)
        assert variance == pytest.approx(1 - bar, rel=1e-9)
        assert variance / gain**2 == pytest.approx(sigma**2, rel=1e-9)


@pytest.mark.parametrize("ladder", [Geometric(0.1, 4.0, 9), Karras(0.1, 4.0, 9)])
def test_a_way_down_starts_at_the_told_level_row_by_row(ladder):
    told = column(0.5, 8.0, 0.1000001, 0.1, 0.03)
    levels = rows(ladder, told)
    assert levels.shape == (9, 5)
    assert torch.equal(levels[0], told[:, 0])
    assert bool((levels.diff(dim=0) <= 0).all())
    assert torch.equal(levels[-1], told[:, 0].clamp(max=0.1))
    assert torch.equal(levels[:, 4], torch.full((9,), 0.03, dtype=torch.float64))
    alone = type(ladder)(lowest=0.1, highest=0.5, count=9)
    np.testing.assert_array_equal(levels[:, 0], alone.sigmas())


def test_the_way_down_of_a_diffusion_takes_its_own_levels():
    ladder = VariancePreserving(steps=10)
    sigmas = ladder.sigmas()
    between = float((sigmas[3] + sigmas[4]) / 2)
    levels = rows(ladder, column(between, float(sigmas[9]), 50.0, float(sigmas[0]) / 2))
    assert levels.shape == (10, 4)
    assert levels[0].tolist() == [between, sigmas[9], 50.0, sigmas[0] / 2]
    assert bool((levels.diff(dim=0) <= 0).all())
    assert levels[:, 0].unique().tolist() == [*sigmas[:4], between]
    np.testing.assert_array_equal(levels[:, 1], sigmas[::-1])
    np.testing.assert_array_equal(levels[1:, 2], sigmas[8::-1])  # what was told takes the place of the highest
    assert levels[:, 3].unique().tolist() == [sigmas[0] / 2]


def test_a_subsequence_of_a_diffusion_is_evenly_spread():
    ladder = VariancePreserving(steps=100)
    sigmas = ladder.sigmas()
    np.testing.assert_array_equal(
        rows(ladder, column(float(sigmas[99])), 11)[1:, 0], sigmas[[89, 80, 71, 62, 53, 44, 35, 26, 17, 8]]
    )
    np.testing.assert_array_equal(rows(ladder, column(float(sigmas[20])), 5)[1:, 0], sigmas[[15, 11, 7, 3]])
    assert rows(ladder, column(float(sigmas[2])), 10)[:, 0].unique().tolist() == list(sigmas[:3])


@pytest.mark.parametrize("ladder", [Geometric(), Karras(), VariancePreserving()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_of_a_row_do_not_depend_on_its_neighbours(ladder, dtype):
    told = column(*torch.linspace(0.05, 5.0, 37).tolist(), dtype=dtype)
    together = rows(ladder, told)
    assert together.dtype == dtype
    for i in range(len(told)):
        assert torch.equal(rows(ladder, told[i : i + 1])[:, 0], together[:, i])


def test_descending_ends_at_zero_and_skips_steps_that_nobody_takes():
    levels = [column(2.0, 1.0), column(2.0, 1.0), column(1.0, 1.0), column(1.0, 0.5), column(1.0, 0.5)]
    steps = [(upper[:, 0].tolist(), lower[:, 0].tolist()) for upper, lower in descend(levels)]
    assert steps == [([2, 1], [1, 1]), ([1, 1], [1, 0.5]), ([1, 0.5], [0, 0])]
    told = column(0.05, 0.02)
    for ladder in (Geometric(), Karras(), VariancePreserving(beta_first=0.01)):
        ((upper, lower),) = descend(ladder.rungs(told))
        assert torch.equal(upper, told)
        assert not bool(lower.any())


@pytest.mark.parametrize(
    ("ladder", "arguments"),
    [
        (Geometric, {"lowest": 0.0}),
        (Geometric, {"lowest": 5.0}),
        (Geometric, {"count": 1}),
        (Geometric, {"count": 2.5}),
        (Karras, {"highest": float("nan")}),
        (Karras, {"rho": 0.5}),
        (VariancePreserving, {"steps": 1}),
        (VariancePreserving, {"steps": 10.0}),
        (VariancePreserving, {"beta_first": 0.0}),
        (VariancePreserving, {"beta_first": 0.1, "beta_last": 0.05}),
        (VariancePreserving, {"beta_last": 1.0}),
    ],
)
def test_impossible_ladders_are_refused(ladder, arguments):
    with pytest.raises(UsageError, match="give "):
        ladder(**arguments)
