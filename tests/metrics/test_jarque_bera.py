import numpy as np
import pytest
from scipy import stats

from pcdenoise.errors import InputError
from pcdenoise.metrics.jarque_bera import false_discoveries_controlled, jarque_bera

POWER = {  # share rejected at 0.05 of samples of 32 and 128, as in docs/residual_checks.md
    "laplace": (0.41, 0.87),
    "two levels": (0.37, 0.84),
    "two-sided": (0.00, 0.47),
    "uniform": (0.00, 0.96),
}


def draw(name, rng, shape):
    if name == "laplace":
        return rng.laplace(size=shape)
    if name == "uniform":
        return rng.uniform(size=shape)
    if name == "two-sided":
        return rng.choice([-1.5, 1.5], shape) + rng.standard_normal(shape)
    return rng.choice([1.0, 3.0], shape) * rng.standard_normal(shape)


@pytest.mark.parametrize("n", [8, 16, 33, 1000])
def test_agrees_with_scipy(n):
    samples = np.random.default_rng(n).gamma(3.0, size=(7, n))
    found, expected = jarque_bera(samples), stats.jarque_bera(samples, axis=1)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-12)
    np.testing.assert_allclose(found.limit_p_value, expected.pvalue, rtol=1e-10)
    np.testing.assert_allclose(found.skewness, stats.skew(samples, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.excess_kurtosis, stats.kurtosis(samples, axis=1), rtol=1e-12)


def test_two_values_in_equal_parts():
    # S = 0 and K = 1 - 3, so JB = n / 6
    found = jarque_bera(np.tile([-1.0, 1.0], 30))
    assert (found.skewness, found.excess_kurtosis) == (0, -2)
    assert found.statistic == pytest.approx(10)


def test_knows_neither_unit_nor_origin():
    samples = np.random.default_rng(0).laplace(size=(20, 40))
    moved = jarque_bera(1e-3 * samples + 500.0)
    np.testing.assert_allclose(moved.statistic, jarque_bera(samples).statistic, rtol=1e-6)


def test_many_at_once_are_as_one_by_one():
    samples = np.random.default_rng(0).normal(size=(3, 4, 20))
    together = jarque_bera(samples)
    assert together.p_value.shape == (3, 4)
    assert together.p_value[1, 2] == jarque_bera(samples[1, 2]).p_value


@pytest.mark.parametrize(("n", "trials"), [(16, 40_000), (32, 40_000), (64, 20_000), (1000, 5_000), (3000, 2_000)])
def test_false_alarms(n, trials):
    found = jarque_bera(np.random.default_rng(n).standard_normal((trials, n)))
    for alpha in (0.05, 0.01):
        # the binomial error of the trials and that of the simulated samples
        error = np.sqrt(alpha * (1 - alpha) * (1 / trials + 1e-5))
        assert np.mean(found.p_value <= alpha) == pytest.approx(alpha, abs=3.5 * error)
    assert np.mean(found.p_value <= 0.5) == pytest.approx(0.5, abs=3.5 * np.sqrt(0.25 * (1 / trials + 1e-5)))


def test_the_chi_square_limit_is_far_off_in_small_samples():
    found = jarque_bera(np.random.default_rng(0).standard_normal((40_000, 16)))
    assert np.mean(found.limit_p_value <= 0.05) == pytest.approx(0.020, abs=0.003)
    assert np.mean(found.limit_p_value <= 0.001) > 0.002


@pytest.mark.parametrize("name", POWER)
def test_power(name):
    rng = np.random.default_rng(7)
    shares = [np.mean(jarque_bera(draw(name, rng, (4000, n))).p_value <= 0.05) for n in (32, 128)]
    assert shares == pytest.approx(POWER[name], abs=0.03)


def test_p_values_fall_as_the_statistic_grows_and_reach_one():
    found = jarque_bera(np.random.default_rng(0).laplace(size=(500, 24)))
    order = np.argsort(found.statistic)
    assert (np.diff(found.p_value[order]) <= 0).all()
    assert found.p_value.min() >= 1 / 100_001
    assert found.p_value.max() <= 1


def test_the_seed_decides_what_is_simulated():
    samples = np.random.default_rng(0).laplace(size=(50, 24))
    p = jarque_bera(samples, seed=3).p_value
    np.testing.assert_array_equal(p, jarque_bera(samples, seed=3).p_value)
    other = jarque_bera(samples, seed=4).p_value
    assert (p != other).any()
    np.testing.assert_allclose(p, other, atol=5 * np.sqrt(0.5 / 1e5))


@pytest.mark.parametrize("value", [0.0, 0.1, 5e6 + 0.1])
def test_constant_samples_have_no_test(value):
    samples = np.stack([np.full(20, value), np.random.default_rng(0).normal(size=20)])
    found = jarque_bera(samples)
    for figures in (found.statistic, found.skewness, found.excess_kurtosis, found.p_value, found.limit_p_value):
        np.testing.assert_array_equal(np.isnan(figures), [True, False])


def test_small_samples_are_refused():
    with pytest.raises(InputError, match=r"sample of 7 values .* at least 8"):
        jarque_bera(np.zeros((4, 7)))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_false_discoveries_as_scipy_controls_them(alpha):
    rng = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.9):
        p = np.where(rng.random(300) < share, 1e-3 * rng.random(300), rng.random(300))
        expected = stats.false_discovery_control(p) <= alpha
        np.testing.assert_array_equal(false_discoveries_controlled(p, alpha), expected)


def test_false_discoveries_by_hand():
    # 0.03 is above 0.05 / 3, but the largest passes as 0.05 <= 3/3 0.05
    np.testing.assert_array_equal(false_discoveries_controlled(np.array([0.05, 0.03, 0.04]), 0.05), [True] * 3)
    np.testing.assert_array_equal(false_discoveries_controlled(np.array([0.06, 0.03, 0.01]), 0.05), [0, 1, 1])


def test_what_was_not_tested_is_not_rejected_and_does_not_count():
    p = np.array([np.nan, 0.02, np.nan, 0.5, np.nan])
    np.testing.assert_array_equal(false_discoveries_controlled(p, 0.05), [False, True, False, False, False])
    assert not false_discoveries_controlled(np.full(4, np.nan), 0.05).any()
