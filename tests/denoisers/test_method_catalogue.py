import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.config import instantiate
from pcdenoise.denoisers.catalogue import denoising_method, method_config, method_names
from pcdenoise.denoisers.method import MethodMover
from pcdenoise.denoisers.whole_cloud import denoise_with_report
from pcdenoise.errors import UsageError


@pytest.mark.parametrize("name", method_names())
def test_every_file_makes_a_method(name):
    if method_config(name)["_target_"].endswith(".Learned"):
        pytest.skip("reads weights, which has tests of its own")
    method = instantiate(method_config(name))
    assert isinstance(method.source, str)
    assert isinstance(method.needs, frozenset)


def test_an_unknown_method_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match=r"there is no method 'nonsense'; choose from apss, .*wlop"):
        denoising_method("nonsense")


def test_a_value_takes_the_place_of_the_tuned_ones():
    chosen = denoising_method("laplacian", ["neighbours=5"])
    assert {chosen.at(noise).neighbours for noise in (0.1, 1.0, 10.0)} == {5}
    assert len({chosen.at(noise).passes for noise in (0.1, 1.0, 10.0)}) > 1
    assert denoising_method("laplacian", ["tuned=[]", "passes=3"]).at(1.0).passes == 3


@pytest.mark.parametrize(
    ("name", "word", "fact"),
    [
        ("laplacian", "size=3", "does not take 'size=3'; its values are neighbours, passes, step, tuned"),
        ("identity", "size=3", "it has no values"),
        ("laplacian", "step=2.0", "step of Laplacian is 2.0"),
        ("laplacian", "step=far", "give a number"),
    ],
)
def test_values_that_do_not_fit(name, word, fact):
    with pytest.raises(UsageError, match=fact):
        denoising_method(name, [word])


class TestMethodMover:
    """A method in the place of a network."""

    def test_what_is_done_is_what_the_method_does(self, noisy_sphere):
        method = denoising_method("laplacian")
        cloud = PointCloud(np.concatenate([noisy_sphere, [[np.nan] * 3], noisy_sphere[:1]]))
        result, report = denoise_with_report(cloud, MethodMover(method), model_name="laplacian")
        np.testing.assert_allclose(result.points[:-2], method(noisy_sphere), atol=1e-9)
        np.testing.assert_array_equal(result.points[-1], result.points[0])
        assert np.isnan(result.points[-2]).all()
        assert (report.passes, report.skipped, report.device, report.model) == (1, 1, "cpu", "laplacian")

    def test_far_moves_are_not_held_back(self, noisy_sphere):
        points = noisy_sphere.copy()
        points[0] *= 5
        result, _ = denoise_with_report(PointCloud(points), MethodMover(denoising_method("statistical_outliers")))
        assert np.linalg.norm(result.points[0]) < 1.3

    def test_max_move_still_holds(self, noisy_sphere):
        cloud = PointCloud(noisy_sphere)
        result, report = denoise_with_report(cloud, MethodMover(denoising_method("laplacian")), max_move=0.01)
        assert report.largest_move == pytest.approx(0.01)
        assert np.linalg.norm(result.points - noisy_sphere, axis=1).max() == pytest.approx(0.01)

    def test_too_few_points_are_said_to_be(self):
        few = PointCloud(np.random.default_rng(0).random((12, 3)))
        result, report = denoise_with_report(few, MethodMover(denoising_method("laplacian")))
        assert "the cloud has 12 distinct points and 15 neighbours of each count" in report.note
        np.testing.assert_array_equal(result.points, few.points)

    def test_seeds_arrive(self, noisy_sphere):
        class Drawing:
            source, needs = "test", frozenset()

            def __call__(self, points, sigma=None, mesh=None, seed=0):
                assert sigma is None
                return points + np.random.default_rng(seed).standard_normal(points.shape)

        cloud = PointCloud(noisy_sphere[:500])
        one, two, again = (denoise_with_report(cloud, MethodMover(Drawing()), seed=s)[0].points for s in (1, 2, 1))
        np.testing.assert_array_equal(one, again)
        assert (one != two).any()

    def test_it_answers_like_an_engine(self):
        mover = MethodMover(denoising_method("identity"))
        assert (mover.device, mover.passes, mover.polished_once, mover.neighbours) == ("cpu", 1, 1, 0)
