import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdenoise.errors import InputError
from pcdenoise.geometry.frame import Frame


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(200, 3))


@given(
    scale=st.floats(1e-6, 1e6),
    centre=st.tuples(*[st.floats(-1e7, 1e7)] * 3),
    local=st.tuples(*[st.floats(-1e3, 1e3)] * 3),
)
def test_there_and_back(scale, centre, local):
    frame = Frame(np.array(centre), scale)
    world = frame.to_world(np.array([local]))
    digits = 4 * np.finfo(float).eps * (np.abs(centre).max() / scale + np.abs(local).max())
    np.testing.assert_allclose(frame.to_local(world)[0], local, rtol=0, atol=digits)


def test_local_coordinates_do_not_know_unit_and_origin(cloud):
    local = Frame.of(cloud).to_local(cloud)
    moved = 1e-3 * cloud + [500_000.0, 5_400_000.0, 300.0]
    # 1e-3 at 5.4e6 leaves six digits, less those that the mean length takes in spacings
    np.testing.assert_allclose(Frame.of(moved).to_local(moved), local, atol=1e-4)
    np.testing.assert_allclose(Frame.of(1e6 * cloud).to_local(1e6 * cloud), local, rtol=1e-12, atol=1e-12)


def test_the_centre_withstands_an_outlier(cloud):
    outlier = np.concatenate([cloud, [[1e9, 1e9, 1e9]]])
    assert np.linalg.norm(Frame.of(outlier).centre - Frame.of(cloud).centre) < 0.1


def test_float32_in_float64_out(cloud):
    assert Frame.of(cloud).to_local(cloud.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.ones((50, 3))])
def test_a_cloud_without_extent_has_scale_one(points):
    assert Frame.of(points).scale == 1.0


@pytest.mark.parametrize(
    ("centre", "scale"), [([0.0, 0.0], 1.0), ([0.0, 0.0, np.nan], 1.0), ([0.0] * 3, 0.0), ([0.0] * 3, np.inf)]
)
def test_an_impossible_frame_is_an_error(centre, scale):
    with pytest.raises(InputError):
        Frame(np.array(centre), scale)


def test_an_empty_cloud_is_an_error():
    with pytest.raises(InputError, match="empty"):
        Frame.of(np.zeros((0, 3)))


def test_the_unit_sphere_frame_is_that_of_the_bounding_box():
    frame = Frame.unit_sphere(np.array([[0.0, 0, 0], [4, 0, 0], [1, 2, 0]]))
    np.testing.assert_array_equal(frame.centre, [2, 1, 0])
    assert frame.scale == pytest.approx(np.sqrt(5))
    with pytest.raises(InputError, match="scale"):
        Frame.unit_sphere(np.ones((5, 3)))
