import numpy as np
import pytest

from pcdenoise.viewer import Camera
from pcdenoise.viewer.section import Section


@pytest.fixture(scope="module")
def ball():
    points = np.random.default_rng(0).normal(size=(20_000, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_section_through_a_sphere_is_a_piece_of_a_circle(ball):
    section = Section.through(ball, Camera.facing(ball, 300, 200), 0.0)
    across, *sides = (ball[section.contains(ball)] @ section.axes.T).T
    radius = np.hypot(*sides)
    assert len(radius) > 100
    assert np.ptp(across) <= 0.1 * section.width
    assert np.ptp(radius) < 0.1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_section_across_a_sphere_is_a_circle_of_known_radius(ball, axis):
    section = Section.across(ball, axis, position=0.6, thickness=0.01)
    flat = section.flat(ball[section.contains(ball)])
    assert len(flat) == pytest.approx(20_000 * 0.01 / 2, rel=0.35), "the share of a zone is its height / 2 r"
    np.testing.assert_allclose(np.hypot(*flat.T), np.sqrt(1 - 0.6**2), atol=0.01)
    assert section.width > 2, "the whole cut is in the window"


def test_up_in_a_section_is_z_or_y_and_nothing_is_mirrored():
    box = np.array([[0, 0, 0], [4, 2, 1.0]])
    for axis, right, up in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        section = Section.across(box, axis)
        np.testing.assert_allclose(np.abs(section.axes[1:]), np.eye(3)[[right, up]])
        assert section.axes[2, up] == 1
        assert np.linalg.det(section.axes) == pytest.approx(1)
        np.testing.assert_allclose(section.centre, [2, 1, 0.5])
        assert section.thickness == pytest.approx(0.08)


def test_rows_that_are_not_finite_are_in_no_section(ball):
    assert not Section.across(ball, 0).contains(np.full((3, 3), np.nan)).any()
