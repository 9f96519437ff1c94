import functools
from typing import get_args

import numpy as np
import pytest

from pcdenoise.errors import InputError
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.table import METRICS, Direction, measure

NAMES = {metric.name: metric for metric in METRICS}


@pytest.fixture(scope="module")
def numbers(plate):
    """All metrics of a plate with noise that a denoiser halved."""
    vertices, faces, points = plate
    noise = 0.02 * np.random.default_rng(0).standard_normal(points.shape)
    return measure(Comparison(points + noise / 2, points, (vertices, faces), points + noise))


def test_each_has_a_name_a_direction_and_a_definition():
    assert len(NAMES) == len(METRICS)
    assert {metric.direction for metric in METRICS} <= set(get_args(Direction))
    for metric in METRICS:
        function = metric.measure.func if isinstance(metric.measure, functools.partial) else metric.measure
        assert len(function.__doc__) > 40


def test_what_is_given_decides_what_is_measured(plate, numbers):
    vertices, faces, points = plate
    assert numbers.keys() == NAMES.keys() - {"error_smooth"}  # a thin plate has no smooth area
    without = measure(Comparison(points, points))
    assert {"chamfer", "hausdorff", "f_score", "normal_angle", "uniformity"} <= without.keys()
    assert not without.keys() & {"p2m", "bias", "error_edge", "displacement_mean", "share_worse"}
    with_normals = measure(Comparison(points, points, normals=np.ones_like(points)))
    assert with_normals.keys() - without.keys() == {"bias"}
    flipped = faces.copy()
    flipped[::2] = flipped[::2, ::-1]
    assert "bias" not in measure(Comparison(points, points, (vertices, flipped)))


def test_printed_units(plate):
    _, _, points = plate
    result = points + np.array([0, 0, 1e-3])
    numbers = measure(Comparison(result, points))
    radius = np.linalg.norm([1, 1, 0.02])
    assert numbers["chamfer"] == pytest.approx(1e4 * 2 * (1e-3 / radius) ** 2, rel=1e-2)
    assert numbers["chamfer_l1"] == pytest.approx(1e2 * 1e-3 / radius, rel=1e-2)
    assert numbers["f_score"] == 100


def test_parts_make_the_whole(numbers):
    for family in ("", "_family_b"):
        parts = numbers[f"point_to_face{family}"] + numbers[f"face_to_point{family}"]
        assert numbers[f"p2m{family}"] == pytest.approx(parts)
    assert numbers["p2m_family_b"] >= numbers["p2m"]
    regions = sum(numbers[f"share_{r}"] * numbers[f"error_{r}"] for r in ("edge", "thin")) / 100
    assert regions == pytest.approx(numbers["point_to_face"])


def test_knows_neither_unit_nor_origin_nor_order(plate, numbers):
    vertices, faces, points = plate
    noise = 0.02 * np.random.default_rng(0).standard_normal(points.shape)
    rows = np.random.default_rng(1).permutation(len(points))
    shift = np.array([500_000.0, 5_400_000.0, 300.0])

    def there(cloud):
        return 1e3 * cloud + shift

    moved = Comparison(
        there(points + noise / 2)[rows], there(points)[::-1], (there(vertices), faces), there(points + noise)[rows]
    )
    assert measure(moved) == pytest.approx(numbers, rel=1e-4, abs=1e-6)


def test_bad_pairs(grid):
    bad = grid.copy()
    bad[3, 1] = np.nan
    for cloud in (bad, np.zeros((0, 3))):
        with pytest.raises(InputError, match="the result is empty"):
            Comparison(cloud, grid)
        with pytest.raises(InputError, match="the clean cloud is empty"):
            Comparison(grid, cloud)
        with pytest.raises(InputError, match="the noisy cloud is empty"):
            Comparison(grid, grid, noisy=cloud)
    with pytest.raises(InputError, match="400 points, the noisy cloud 399"):
        Comparison(grid, grid, noisy=grid[1:])
