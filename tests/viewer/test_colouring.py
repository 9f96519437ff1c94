import numpy as np
import pytest
import trimesh

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError
from pcdenoise.geometry.noise import spacing
from pcdenoise.viewer.colouring import colouring, colourings, distances

NAN = np.full((1, 3), np.nan)


def moved(sphere, length):
    return PointCloud((1 + length) * sphere)


class TestError:
    def test_to_a_mesh(self, sphere):
        ball = trimesh.creation.icosphere(subdivisions=5)
        reference = np.asarray(ball.vertices), np.asarray(ball.faces)
        # a facet lies below the sphere by at most an eighth of its squared edge
        np.testing.assert_allclose(distances(1.1 * sphere, reference), 0.1, atol=0.001)
        np.testing.assert_allclose(distances(0.7 * sphere, reference), 0.3, atol=0.001)

    @pytest.mark.parametrize("normals", [False, True])
    def test_to_a_cloud_is_that_to_its_tangent_planes(self, sphere, normals):
        clean = PointCloud(sphere, {"normals": 5 * sphere} if normals else {})
        between = sphere + 0.01 * np.random.default_rng(0).standard_normal(sphere.shape)
        between /= np.linalg.norm(between, axis=1, keepdims=True)
        assert distances(between, clean).max() < 0.002, "clean points between clean points have no error"
        np.testing.assert_allclose(distances(1.05 * between, clean), 0.05, atol=0.002)

    def test_beside_a_cloud_is_that_to_the_disc_around_its_last_point(self):
        side = np.arange(31.0)
        plane = np.stack([*map(np.ravel, np.meshgrid(side, side)), np.zeros(31 * 31)], axis=1)
        clean = PointCloud(plane)
        beside = np.array([[35.0, 10, 0], [35.0, 10, 3], [10, 10, 3]])
        away = 5 - spacing(plane)
        np.testing.assert_allclose(distances(beside, clean), [away, np.hypot(away, 3), 3])

    def test_rows_that_are_not_finite_have_none(self, sphere):
        found = distances(np.vstack([NAN, 1.1 * sphere[:3], NAN]), PointCloud(np.vstack([sphere, NAN])))
        assert np.isnan(found).tolist() == [True, False, False, False, True]

    def test_without_a_reference_the_remedy_is_to_give_one(self, sphere):
        with pytest.raises(InputError, match="--reference FILE"):
            colouring("error", {"a": PointCloud(sphere)})
        with pytest.raises(InputError, match="the reference has no finite point"):
            distances(sphere, PointCloud(NAN))


class TestDisplacement:
    def test_is_from_row_to_row_and_the_first_cloud_has_none(self, sphere):
        painted = colouring("displacement", {"a": moved(sphere, 0), "b": moved(sphere, 0.1), "c": moved(sphere, 0.3)})
        assert painted.values.keys() == {"b", "c"}
        np.testing.assert_allclose(painted.values["b"], 0.1)
        np.testing.assert_allclose(painted.values["c"], 0.3)
        assert (painted.low, painted.high) == pytest.approx((0, 0.3))

    def test_unequal_counts_are_refused_with_both(self, sphere):
        with pytest.raises(InputError, match=r"a has 6,000 points and b has 5,999, so that row i"):
            colouring("displacement", {"a": PointCloud(sphere), "b": PointCloud(sphere[1:])})
        with pytest.raises(InputError, match="between two clouds"):
            colouring("displacement", {"a": PointCloud(sphere)})


class TestAttribute:
    CLOUD = PointCloud(
        np.zeros((101, 3)),
        {
            "height": np.arange(101, dtype=np.int16),
            "flow": np.tile([3.0, 0, 4], (101, 1)),
            "name": np.array(["x"] * 101),
        },
    )

    def test_the_scale_runs_from_the_first_to_the_last_percentile(self):
        painted = colouring("height", {"a": self.CLOUD})
        assert (painted.label, painted.low, painted.high) == ("height", 1, 99)
        colours = painted.colours("a")
        assert np.array_equal(colours[0], colours[1])
        assert np.array_equal(colours[99], colours[100])
        assert not np.array_equal(colours[1], colours[2])

    def test_one_value_has_one_colour_in_all_clouds(self):
        other = PointCloud(np.zeros((11, 3)), {"height": np.arange(200, 211)})
        painted = colouring("height", {"a": self.CLOUD, "b": other}, limits=(50, 205))
        assert (painted.low, painted.high) == (50, 205)
        np.testing.assert_array_equal(painted.colours("b")[5], painted.colours("b")[10])
        np.testing.assert_array_equal(painted.colours("a")[0], painted.colours("a")[50])

    def test_a_vector_is_shown_by_its_length(self):
        np.testing.assert_allclose(colouring("flow", {"a": self.CLOUD}).values["a"], 5)

    def test_equal_values_have_a_scale(self):
        painted = colouring("flow", {"a": self.CLOUD})
        assert painted.low < painted.high

    def test_a_name_that_is_not_there_is_answered_with_those_that_are(self):
        with pytest.raises(InputError, match=r"a has no attribute 'depth'; it has height, flow, name"):
            colouring("depth", {"a": self.CLOUD})
        with pytest.raises(InputError, match=r"b has no attribute 'height'; it has none"):
            colouring("height", {"a": self.CLOUD, "b": PointCloud(np.zeros((2, 3)))})
        with pytest.raises(InputError, match=r"'name' of a holds no numbers"):
            colouring("name", {"a": self.CLOUD})

    def test_values_that_are_not_finite_do_not_widen_the_scale(self):
        values = np.array([0.0, 1, 2, np.nan, np.inf])
        painted = colouring("v", {"a": PointCloud(np.zeros((5, 3)), {"v": values})})
        assert painted.high < 2
        assert np.isfinite(painted.colours("a")).all()
        nothing = colouring("v", {"a": PointCloud(np.zeros((2, 3)), {"v": np.array([np.nan, np.nan])})})
        assert (nothing.low, nothing.high) == (0, 1)


def test_what_clouds_can_be_coloured_by():
    points = np.zeros((4, 3))
    one = PointCloud(
        points, {"colors": points, "time": points[:, 0], "echo": points[:, 0], "name": np.array(["x"] * 4)}
    )
    other = PointCloud(points, {"time": points[:, 0]})
    assert colourings({"a": one}, None) == ["time", "echo"]
    assert colourings({"a": one, "b": other}, one) == ["error", "displacement", "time"]
    assert colourings({"a": one, "b": PointCloud(points[1:])}, None) == []
