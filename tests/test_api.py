import numpy as np
import pytest
import torch

import pcdenoise
from pcdenoise.api import denoise_with_report, inspect, list_models, load_model
from pcdenoise.cloud import PointCloud
from pcdenoise.denoisers.whole_cloud import QUALITIES
from pcdenoise.errors import InputError, ModelError, UsageError


@pytest.fixture(scope="module")
def denoiser():
    return load_model(device="cpu")


def radial_error(points):
    return np.sqrt(np.mean((np.linalg.norm(points, axis=1) - 1) ** 2))


def test_a_noisy_sphere_becomes_a_sphere(noisy_sphere, denoiser):
    result = pcdenoise.denoise(noisy_sphere, denoiser)
    assert radial_error(result) < 0.3 * radial_error(noisy_sphere)
    # no shrinkage: the signed error along the normal stays under a tenth of the noise
    assert abs(np.mean(np.linalg.norm(result, axis=1) - 1)) < 0.1 * 0.032


def test_a_clean_cloud_stays_as_it_is(sphere, denoiser):
    with pytest.warns(UserWarning, match="no noise was found"):
        result = pcdenoise.denoise(sphere, denoiser)
    np.testing.assert_array_equal(result, sphere)


def test_the_type_that_comes_in_goes_out(noisy_sphere, denoiser):
    array = pcdenoise.denoise(noisy_sphere.astype(np.float32), denoiser)
    assert array.dtype == np.float32
    tensor = pcdenoise.denoise(torch.from_numpy(noisy_sphere).float(), denoiser)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), array, atol=1e-6)
    colors = np.arange(3 * len(noisy_sphere), dtype=np.uint32).reshape(-1, 3)
    cloud = pcdenoise.denoise(PointCloud(noisy_sphere, {"colors": colors}, {"x": 1}), denoiser)
    assert cloud.attributes["colors"] is colors
    assert cloud.metadata == {"x": 1}


def test_scale_and_shift_pass_through(noisy_sphere, denoiser):
    wanted = pcdenoise.denoise(noisy_sphere, denoiser)
    far = pcdenoise.denoise(noisy_sphere * 1000 + np.array([4.5e5, 5.4e6, 100]), denoiser)
    off = np.abs((far - [4.5e5, 5.4e6, 100]) / 1000 - wanted) / 0.046
    assert np.quantile(off, 0.95) < 1e-4
    # rounding that far out may swap two neighbours that are equally near, which is felt around them
    assert off.max() < 0.01


def test_huge_coordinates(noisy_sphere, denoiser):
    result = pcdenoise.denoise(noisy_sphere * 1e9, denoiser)
    np.testing.assert_allclose(result / 1e9, pcdenoise.denoise(noisy_sphere, denoiser), atol=1e-6)


def test_rows_that_are_not_finite_stay_in_place(noisy_sphere, denoiser):
    points = noisy_sphere.copy()
    points[[0, 77]] = np.nan
    points[100, 1] = np.inf
    result, report = denoise_with_report(PointCloud(points), denoiser)
    np.testing.assert_array_equal(result.points[[0, 77, 100]], points[[0, 77, 100]])
    assert np.isfinite(np.delete(result.points, [0, 77, 100], axis=0)).all()
    assert report.skipped == 3


def test_duplicates_move_as_one(noisy_sphere, denoiser):
    points = np.concatenate([noisy_sphere, noisy_sphere[:3000], noisy_sphere[:1].repeat(2000, axis=0)])
    result = pcdenoise.denoise(points, denoiser)
    np.testing.assert_array_equal(result[6000:9000], result[:3000])
    np.testing.assert_array_equal(result[9000:], result[:1].repeat(2000, axis=0))
    np.testing.assert_allclose(result[:6000], pcdenoise.denoise(noisy_sphere, denoiser), atol=1e-9)


def test_strength_max_move_and_passes(noisy_sphere, denoiser):
    cloud = PointCloud(noisy_sphere)
    full, report = denoise_with_report(cloud, denoiser)
    half, _ = denoise_with_report(cloud, denoiser, strength=0.5)
    np.testing.assert_allclose(half.points - noisy_sphere, 0.5 * (full.points - noisy_sphere), atol=1e-12)
    near, limited = denoise_with_report(cloud, denoiser, max_move=0.01)
    assert limited.largest_move <= 0.01 * (1 + 1e-9) < report.largest_move
    unmoved = np.linalg.norm(full.points - noisy_sphere, axis=1) < 0.01
    np.testing.assert_allclose(near.points[unmoved], full.points[unmoved])
    still, none = denoise_with_report(cloud, denoiser, passes=0)
    np.testing.assert_array_equal(still.points, noisy_sphere)
    assert (none.passes, none.mean_move) == (0, 0.0)


def test_rotations_are_seeded(noisy_sphere, denoiser):
    cloud = PointCloud(noisy_sphere)
    a, b, c = (denoise_with_report(cloud, denoiser, rotations=2, seed=s)[0].points for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 1e-6
    assert radial_error(a) < 0.3 * radial_error(noisy_sphere)


def test_orientations_are_averaged_across_the_surface(noisy_sphere, denoiser):
    """Along it points lie as evenly as after the first one."""
    cloud = PointCloud(noisy_sphere)
    one, mean = (denoise_with_report(cloud, denoiser, rotations=r)[0].points for r in (1, 4))
    move, outwards = mean - one, one / np.linalg.norm(one, axis=1, keepdims=True)
    across = (move * outwards).sum(axis=1, keepdims=True)
    assert np.linalg.norm(move - across * outwards) < 0.2 * np.linalg.norm(move)
    assert np.abs(across).max() > 1e-5
    assert radial_error(mean) < radial_error(one)


class Flattener:
    """Puts the points of a plane at heights that differ from call to call, however the cloud lies."""

    device, neighbours, passes, relaxation = torch.device("cpu"), 8, 1, 0.0

    def __init__(self, noisy, plane, heights):
        self.noisy, self.answers = noisy, iter(plane + heights[..., None] * [0, 0, 1])

    def __call__(self, points, *_):
        centre = self.noisy.mean(axis=0)
        turn, *_ = np.linalg.lstsq(self.noisy - centre, points - points.mean(axis=0))
        return (next(self.answers) - centre) @ turn + points.mean(axis=0)


def test_where_orientations_disagree_the_first_one_stands():
    plane = np.column_stack([*np.mgrid[:20, :20].reshape(2, -1), np.zeros(400)])
    noisy = plane + 0.2 * np.random.default_rng(0).standard_normal(plane.shape)
    agreed, disputed = np.arange(400) % 2 == 0, np.arange(400) % 2 == 1
    heights = np.where(agreed, [[0.0], [0.01], [0.01], [0.01]], [[0.3], [-0.3], [0.3], [-0.3]])
    moved, _ = denoise_with_report(PointCloud(noisy), Flattener(noisy, plane, heights), rotations=4, passes=1)
    np.testing.assert_allclose(moved.points[agreed, 2], 0.0075, atol=0.001)
    np.testing.assert_allclose(moved.points[disputed, 2], 0.3, atol=0.03)


def test_quality_means_passes_and_rotations(noisy_sphere, denoiser):
    cloud = PointCloud(noisy_sphere)
    results = {quality: denoise_with_report(cloud, denoiser, quality=quality) for quality in QUALITIES}
    for quality, options in (("fast", {"passes": 1}), ("balanced", {}), ("best", {"rotations": 5})):
        wanted, report = denoise_with_report(cloud, denoiser, **options)
        np.testing.assert_array_equal(results[quality][0].points, wanted.points)
        assert results[quality][1].passes == report.passes
    errors = [radial_error(result.points) for result, _ in results.values()]
    assert errors == sorted(errors, reverse=True)
    with pytest.raises(UsageError, match="fast, balanced, best"):
        denoise_with_report(cloud, denoiser, quality="good")


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((1, 3)),
        np.random.default_rng(0).random((20, 3)),
        np.ones((500, 3)),
        np.linspace(0, 1, 200)[:, None] * [1, 2, 3],
        np.random.default_rng(0).random((500, 3)) * [1, 1, 0],
        np.tile(np.random.default_rng(0).random((10, 3)), (50, 1)),
    ],
    ids=["one", "fewer than k", "all equal", "line", "plane", "few distinct"],
)
def test_degenerate_clouds_come_back_unchanged_with_a_warning(points, denoiser):
    with pytest.warns(UserWarning, match="returned unchanged"):
        result = pcdenoise.denoise(points, denoiser)
    np.testing.assert_array_equal(result, points)


def test_mistakes(noisy_sphere, denoiser, tmp_path):
    with pytest.raises(InputError, match="no finite point"):
        pcdenoise.denoise(np.full((5, 3), np.nan), denoiser)
    with pytest.raises(InputError, match="shape"):
        pcdenoise.denoise(np.zeros((5, 2)), denoiser)
    for options in ({"strength": 3}, {"max_move": 0}, {"passes": 99}, {"passes": -1}, {"rotations": 0}):
        with pytest.raises(UsageError):
            pcdenoise.denoise(noisy_sphere, denoiser, **options)
    with pytest.raises(ModelError, match="there is no model"):
        load_model("nonsense")
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="not a readable"):
        load_model(tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match="no device"):
        load_model(device="nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA"):
            load_model(device="cuda")


def test_inspect(noisy_sphere, sphere):
    points = np.concatenate([noisy_sphere * 10, [[np.nan] * 3], noisy_sphere[:4] * 10, [[90.0, 0, 0]]])
    found = inspect(PointCloud(points, {"time": np.arange(len(points), dtype=np.float64)}))
    assert (found.points, found.not_finite, found.duplicates) == (6006, 1, 4)
    assert found.noise == pytest.approx(0.32, rel=0.15)
    assert 0 < found.outlier_share < 0.002
    assert found.attributes == {"time": "float64"}
    assert "passes" in found.advice
    assert "no noise" in inspect(PointCloud(sphere)).advice
    assert "projected" in inspect(PointCloud(noisy_sphere + np.array([4.5e5, 5.4e6, 0]))).unit_guess


def test_shipped_weights_are_small_and_documented():
    from pcdenoise.api import WEIGHTS
    from pcdenoise.checkpoint import load_checkpoint

    assert "edgeconv" in list_models()
    assert max(path.stat().st_size for path in WEIGHTS.iterdir()) < 5e6
    for name in list_models():
        provenance = load_checkpoint(WEIGHTS / f"{name}.safetensors")[1]["provenance"]
        assert {"dataset", "shapes", "steps", "seed", "hours", "commit", "validation"} <= provenance.keys()


@pytest.mark.gpu
def test_on_a_gpu_as_on_the_cpu(noisy_sphere, denoiser):
    on_gpu = pcdenoise.denoise(noisy_sphere, load_model(device="cuda"))
    np.testing.assert_allclose(on_gpu, pcdenoise.denoise(noisy_sphere, denoiser), atol=1e-4 * 0.046)
