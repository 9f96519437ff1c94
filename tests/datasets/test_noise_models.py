"""Moments, distributions and probabilities of the noise models against their closed forms."""

import numpy as np
import pytest
from scipy import stats

from pcdenoise.cloud import PointCloud
from pcdenoise.datasets.noise_models import (
    AlongNormal,
    AnisotropicGaussian,
    ClusteredOutliers,
    Composition,
    Discrete,
    Gaussian,
    Laplace,
    Mixture,
    Quantisation,
    UniformBall,
    UniformOutliers,
    add_noise,
    noise_config,
    noise_model,
    noise_names,
)
from pcdenoise.errors import InputError, UsageError

RADIUS, CENTRE = 5.0, np.array([100.0, -200, 300])
S = 0.02 * RADIUS  # what a level of 0.02 is on the ball below
CORRELATED = np.array([[4, -2, -1], [-2, 4, -1], [-1, -1, 4]]) / 4
MIXTURE = Mixture((Gaussian(0.02), Laplace(0.04), UniformBall(0.02)), (0.5, 0.2, 0.3))


@pytest.fixture(scope="module")
def ball() -> np.ndarray:
    """100,000 points of a sphere of radius 5 around a far centre, with its six poles."""
    points = np.random.default_rng(0).standard_normal((100_000, 3))
    points[:6] = np.concatenate([np.eye(3), -np.eye(3)])
    return RADIUS * points / np.linalg.norm(points, axis=1, keepdims=True) + CENTRE


def assert_mean(values: np.ndarray, expected: np.ndarray | float) -> None:
    """The mean of independent rows is the expected one, up to five standard errors."""
    error = values.std(axis=0) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - expected) <= 5 * error + 1e-15).all(), (values.mean(axis=0), expected)


@pytest.mark.parametrize(
    ("model", "covariance"),
    [
        (Gaussian(0.02), S**2 * np.eye(3)),
        (AnisotropicGaussian(0.02), S**2 * CORRELATED),
        (Laplace(0.02), 2 * S**2 * np.eye(3)),
        (UniformBall(0.02), S**2 / 5 * np.eye(3)),
        (Discrete(0.02), 0.2 * S**2 * np.eye(3)),
        (Discrete(0.02, 1 / 6), S**2 / 3 * np.eye(3)),
        (Quantisation(0.02), S**2 / 12 * np.eye(3)),
        (MIXTURE, S**2 * (0.5 + 0.2 * 8 + 0.3 / 5) * np.eye(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_mean_and_covariance(ball: np.ndarray, model: Gaussian, covariance: np.ndarray) -> None:
    noise = model(ball, np.random.default_rng(1)) - ball
    assert_mean(noise, 0.0)
    assert_mean(np.einsum("ni,nj->nij", noise, noise), covariance)


@pytest.mark.parametrize(
    ("model", "law"),
    [
        (Gaussian(0.02), stats.norm(scale=S)),
        (AnisotropicGaussian(0.02), stats.norm(scale=S)),
        (Laplace(0.02), stats.laplace(scale=S)),
        (Quantisation(0.02), stats.uniform(-S / 2, S)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_law_of_each_coordinate(ball: np.ndarray, model: Gaussian, law: stats.rv_continuous) -> None:
    noise = model(ball, np.random.default_rng(2)) - ball
    assert min(stats.kstest(noise[:, axis], law.cdf).pvalue for axis in range(3)) > 1e-4


def test_uniform_ball_is_full_and_has_an_edge(ball: np.ndarray) -> None:
    length = np.linalg.norm(UniformBall(0.02)(ball, np.random.default_rng(3)) - ball, axis=1)
    assert length.max() <= S * (1 + 1e-9)
    assert stats.kstest((length / S) ** 3, "uniform").pvalue > 1e-4


def test_discrete_steps_and_their_probabilities(ball: np.ndarray) -> None:
    steps = (Discrete(0.02)(ball, np.random.default_rng(4)) - ball) / S
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    values, counts = np.unique(np.rint(steps), axis=0, return_counts=True)
    assert len(values) == 7
    expected = np.where(np.abs(values).sum(axis=1) == 0, 0.4, 0.1)
    assert (np.abs(values).sum(axis=1) <= 1).all()
    assert stats.chisquare(counts, expected * len(ball)).pvalue > 1e-4


def test_quantisation_leaves_a_grid(ball: np.ndarray) -> None:
    model = Quantisation(0.02)
    values = np.unique(model(ball, np.random.default_rng(5))[:, 0])
    gaps = np.diff(values)
    np.testing.assert_allclose(gaps[gaps > 1e-6 * S] / S, 1, rtol=1e-6)


def test_noise_along_the_normal_is_radial_on_a_sphere(sphere: np.ndarray) -> None:
    points = 2 * sphere + 7
    given = AlongNormal(0.01).apply(points, np.random.default_rng(6), normals=sphere).points - points
    radial = np.einsum("ij,ij->i", given, sphere)
    np.testing.assert_allclose(given, radial[:, None] * sphere, atol=1e-12)
    assert_mean(radial, 0.0)
    assert_mean(radial**2, 0.02**2)
    estimated = AlongNormal(0.01)(points, np.random.default_rng(6)) - points
    np.testing.assert_allclose(np.abs(np.einsum("ij,ij->i", estimated, sphere)), np.abs(radial), rtol=2e-3)


def test_mixture_draws_parts_by_their_shares(ball: np.ndarray) -> None:
    model = Mixture((Discrete(0.1, 1 / 6), Gaussian(0.0)), (0.3, 0.7))
    moved = (model(ball, np.random.default_rng(7)) != ball).any(axis=1)
    assert_mean(moved, 0.3)


def test_a_part_keeps_its_correlation_in_a_mixture(ball: np.ndarray) -> None:
    noise = Mixture((AnisotropicGaussian(0.02),), (1.0,))(ball, np.random.default_rng(8)) - ball
    assert_mean(np.einsum("ni,nj->nij", noise, noise), S**2 * CORRELATED)


def test_uniform_outliers_fill_the_widened_box(ball: np.ndarray) -> None:
    noisy, rows = UniformOutliers(0.5, 0.2).apply(ball, np.random.default_rng(9))
    np.testing.assert_array_equal(rows, np.concatenate([np.arange(len(ball)), np.full(len(ball) // 2, -1)]))
    np.testing.assert_array_equal(noisy[: len(ball)], ball)
    place = (noisy[len(ball) :] - CENTRE) / (1.2 * RADIUS)
    assert min(stats.kstest(place[:, axis], stats.uniform(-1, 2).cdf).pvalue for axis in range(3)) > 1e-4
    assert np.abs(np.corrcoef(place.T) - np.eye(3)).max() < 5 / np.sqrt(len(place))


def test_clusters_of_outliers(ball: np.ndarray) -> None:
    noisy, rows = ClusteredOutliers(0.4, 4, 0.002).apply(ball, np.random.default_rng(10))
    added = noisy[rows == -1]
    assert len(added) == 40_000
    # four clusters, a hundred times as far apart as they are wide: the nearest of four seeds tells them apart
    seeds = [added[0]]
    while len(seeds) < 4:
        seeds.append(added[np.min([np.linalg.norm(added - seed, axis=1) for seed in seeds], axis=0).argmax()])
    own = np.argmin([np.linalg.norm(added - seed, axis=1) for seed in seeds], axis=0)
    assert stats.chisquare(np.bincount(own)).pvalue > 1e-4
    for cluster in range(4):
        spread = added[own == cluster] - added[own == cluster].mean(axis=0)
        assert_mean(np.einsum("ni,nj->nij", spread, spread), (0.002 * RADIUS) ** 2 * np.eye(3))


def test_composition_adds_up_in_the_unit_of_the_clean_cloud(ball: np.ndarray) -> None:
    both = Composition((Gaussian(0.02), UniformOutliers(0.1), Laplace(0.01)))
    noisy, rows = both.apply(ball, np.random.default_rng(11))
    assert (rows == -1).sum() == 10_000
    noise = noisy[rows >= 0] - ball
    assert_mean(noise**2, S**2 * (1 + 2 / 4))


@pytest.mark.parametrize("name", noise_names())
def test_seed_scale_and_shift(name: str, sphere: np.ndarray) -> None:
    """Same seed, same noise; and the noise grows with the cloud and moves with it."""
    model = noise_model(name)
    kept = sphere.copy()
    noisy, rows = model.apply(sphere, np.random.default_rng(12))
    np.testing.assert_array_equal(sphere, kept)
    again, again_rows = model.apply(sphere, np.random.default_rng(12))
    np.testing.assert_array_equal(again, noisy)
    np.testing.assert_array_equal(again_rows, rows)
    other = model(sphere, np.random.default_rng(13))
    assert other.shape != noisy.shape or (other != noisy).any()
    scaled, scaled_rows = model.apply(4 * sphere + [8, 16, -32], np.random.default_rng(12))
    np.testing.assert_array_equal(scaled_rows, rows)
    np.testing.assert_allclose(scaled, 4 * noisy + [8, 16, -32], atol=1e-12)


@pytest.mark.parametrize("name", [name for name in noise_names() if "outliers" not in name])
def test_no_noise_at_level_zero(name: str, sphere: np.ndarray) -> None:
    points = sphere + 4.5e6  # where a coordinate has few digits left
    noisy, rows = noise_model(name, 0.0).apply(points, np.random.default_rng(14))
    np.testing.assert_array_equal(noisy, points[rows])


def test_single_precision_points(sphere: np.ndarray) -> None:
    single = sphere.astype(np.float32)
    noisy = Gaussian(0.1)(single, np.random.default_rng(3))
    assert noisy.dtype == np.float64
    np.testing.assert_array_equal(noisy, Gaussian(0.1)(single.astype(np.float64), np.random.default_rng(3)))


def test_off_centre_shape_uses_the_box_midpoint_not_the_mean() -> None:
    clean = np.concatenate([np.zeros((50_000, 3)), [[2.0, 0, 0]]])
    assert_mean((Gaussian(0.01)(clean, np.random.default_rng(1)) - clean) ** 2, 0.01**2)


@pytest.mark.parametrize("level", [-0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("model", [Gaussian, AnisotropicGaussian, Laplace, UniformBall, Discrete, AlongNormal])
def test_no_level(model: type[Gaussian], level: float) -> None:
    with pytest.raises(UsageError, match="at least 0"):
        model(level)


def test_values_out_of_range() -> None:
    with pytest.raises(UsageError, match="from 0 to 1/6"):
        Discrete(0.01, 0.2)
    with pytest.raises(UsageError, match="share of outliers is -1"):
        UniformOutliers(-1)
    with pytest.raises(UsageError, match="clusters is 0"):
        ClusteredOutliers(clusters=0)
    with pytest.raises(UsageError, match=r"add up to 0\.9"):
        Mixture((Gaussian(0.1), Laplace(0.1)), (0.5, 0.4))
    with pytest.raises(UsageError, match="2 parts have shares"):
        Mixture((Gaussian(0.1), Laplace(0.1)), (1.0,))
    with pytest.raises(UsageError, match="only move points"):
        Mixture((UniformOutliers(),), (1.0,))


def test_every_name_composes_and_its_level_arrives() -> None:
    assert {"gaussian", "anisotropic", "laplace", "uniform_ball", "discrete", "normal"} < set(noise_names())
    assert noise_model("laplace", 0.03) == Laplace(0.03)
    assert noise_model("gaussian") == Gaussian(0.01)
    assert noise_model("outliers", overrides=["share=0.2"]) == UniformOutliers(0.2)
    mixture = noise_model("mixture", 0.05)
    assert isinstance(mixture, Mixture)
    assert {part.level for part in mixture.parts} == {0.05}
    assert noise_config("discrete", 0.02)["probability"] == 0.1


def test_mistakes_in_names() -> None:
    with pytest.raises(UsageError, match=r"no noise model 'gausian'; choose from .*gaussian.*uniform_ball"):
        noise_model("gausian")
    with pytest.raises(UsageError, match=r"'outliers' has no level; its values are margin, share"):
        noise_model("outliers", 0.1)
    with pytest.raises(UsageError, match=r"does not take 'shar=1'; its values are margin, share"):
        noise_model("outliers", overrides=["shar=1"])


def test_a_cloud_keeps_its_attributes_and_rows_without_coordinates(sphere: np.ndarray) -> None:
    points = sphere[:100].copy()
    points[[3, 50]] = np.nan
    time = np.arange(100.0)
    cloud = PointCloud(points, {"time": time, "normals": sphere[:100].astype(np.float32)}, {"key": 1})
    noisy, rows = add_noise(cloud, AlongNormal(0.1), np.random.default_rng(0))
    np.testing.assert_array_equal(rows, np.arange(100))
    np.testing.assert_array_equal(np.isnan(noisy.points).any(axis=1), np.isnan(points).any(axis=1))
    np.testing.assert_array_equal(noisy.attributes["time"], time)
    assert noisy.metadata == {"key": 1}
    # along the normals that the cloud brought, which are exact
    moves = np.delete(noisy.points - points, [3, 50], axis=0)
    np.testing.assert_allclose(np.cross(moves, np.delete(sphere[:100], [3, 50], axis=0)), 0, atol=1e-7)


def test_a_cloud_with_outliers_has_zeros_for_their_attributes(sphere: np.ndarray) -> None:
    points = np.concatenate([[[np.nan] * 3], sphere[:99]])
    cloud = PointCloud(points, {"time": 1 + np.arange(100.0), "colors": np.full((100, 3), 9, np.uint8)})
    noisy, rows = add_noise(cloud, UniformOutliers(1 / 9), np.random.default_rng(0))
    np.testing.assert_array_equal(rows, [*range(1, 100), *[-1] * 11])
    np.testing.assert_array_equal(noisy.points[:99], points[1:])
    np.testing.assert_array_equal(noisy.attributes["time"], [*range(2, 101), *[0] * 11])
    assert (noisy.attributes["colors"][:99] == 9).all()
    assert (noisy.attributes["colors"][99:] == 0).all()
    assert noisy.attributes["colors"].dtype == np.uint8


def test_what_a_file_said_of_its_rows_is_dropped_with_them(sphere: np.ndarray) -> None:
    points = np.concatenate([[[np.nan] * 3], sphere[:20]])
    noisy, _ = add_noise(PointCloud(points, {}, {"key": 1}), UniformOutliers(1 / 20), np.random.default_rng(0))
    assert len(noisy) == 21
    assert noisy.metadata == {}


def test_clouds_without_extent() -> None:
    with pytest.raises(InputError, match="no finite point"):
        add_noise(PointCloud(np.full((3, 3), np.nan)), Gaussian(0.1), np.random.default_rng(0))
    with pytest.raises(InputError, match="positive"):
        add_noise(PointCloud(np.ones((3, 3))), Gaussian(0.1), np.random.default_rng(0))


def test_normals_without_a_direction_are_estimated_anew(sphere: np.ndarray) -> None:
    broken = sphere.astype(np.float32)
    broken[5] = 0
    clouds = [PointCloud(sphere, attributes) for attributes in ({"normals": broken}, {})]
    first, second = (add_noise(cloud, AlongNormal(0.1), np.random.default_rng(0))[0] for cloud in clouds)
    np.testing.assert_array_equal(first.points, second.points)


@pytest.mark.parametrize("model", [Gaussian, AnisotropicGaussian, Laplace, UniformBall, Discrete, AlongNormal])
def test_levels_are_proportional(sphere: np.ndarray, model: type[Gaussian]) -> None:
    smaller, larger = (model(level)(sphere, np.random.default_rng(0)) - sphere for level in (0.01, 0.02))
    np.testing.assert_allclose(larger, 2 * smaller, atol=1e-12)
