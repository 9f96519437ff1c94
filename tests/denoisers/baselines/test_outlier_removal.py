import numpy as np
import open3d
import pytest
from noisy_surfaces import noisy_ball, sphere

from pcdenoise.denoisers.baselines.outliers import RadiusOutliers, StatisticalOutliers
from pcdenoise.errors import UsageError


@pytest.fixture
def planted():
    """An even sphere whose spacing is about 1, and 20 rows of it far away and apart."""
    points = 12.6 * noisy_ball(2000, 0.0)
    rows = np.arange(0, 2000, 100)
    points[rows] *= 3
    return points, rows


@pytest.mark.parametrize("method", [StatisticalOutliers(ratio=3.0), RadiusOutliers()], ids=repr)
def test_planted_outliers_go_to_the_nearest_kept_point(method, planted):
    points, rows = planted
    moved = method(points)
    changed = np.flatnonzero((moved != points).any(axis=1))
    np.testing.assert_array_equal(changed, rows)
    kept = np.delete(points, rows, axis=0)
    for row in rows:
        np.testing.assert_allclose(moved[row], kept[((kept - points[row]) ** 2).sum(axis=1).argmin()], atol=1e-9)


def test_positions_are_those_that_open3d_leaves(planted):
    points = 3.7 * planted[0]
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    left = np.asarray(cloud.remove_statistical_outlier(20, 2.0)[0].points)
    moved = StatisticalOutliers(neighbours=20, ratio=2.0)(points)
    np.testing.assert_allclose(np.unique(moved.round(9), axis=0), np.unique(left.round(9), axis=0), atol=1e-8)


def test_nothing_to_remove_and_nothing_to_keep():
    clean = sphere(500)
    np.testing.assert_array_equal(StatisticalOutliers(ratio=100.0)(clean), clean)
    np.testing.assert_array_equal(RadiusOutliers(radius=1e-3)(clean), clean)


def test_outlier_removal_refuses_values_out_of_range():
    with pytest.raises(UsageError, match="ratio of StatisticalOutliers is 0"):
        StatisticalOutliers(ratio=0)
    with pytest.raises(UsageError, match=r"neighbours of RadiusOutliers is 1\.5"):
        RadiusOutliers(neighbours=1.5)
