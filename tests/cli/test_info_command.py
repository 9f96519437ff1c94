import json

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.io import write


@pytest.fixture
def holes(folder, noisy):
    points = np.concatenate([noisy.points, noisy.points[:4], np.full((3, 3), np.nan)])
    write(PointCloud(points, {"time": np.arange(2007.0)}), folder / "holes.ply")
    return folder / "holes.ply"


def test_for_people(cli, holes, listing):
    before = listing()
    result = cli("info", holes)
    assert (result.code, result.err) == (0, "")
    rows = dict(line.split("  ", 1) for line in result.out.splitlines())
    assert "2,007 (3 not finite, 4 duplicates)" in rows["points"]
    assert "time (float64)" in rows["attributes"]
    assert {"extent", "unit, a guess", "spacing", "estimated noise", "outliers", "denoise would"} <= rows.keys()
    assert listing() == before


def test_for_programs(cli, holes):
    found = json.loads(cli("info", holes, "--json").out, parse_constant=pytest.fail)
    assert found["input"] == str(holes)
    assert (found["points"], found["not_finite"], found["duplicates"]) == (2007, 3, 4)
    assert found["attributes"] == {"time": "float64"}
    assert found["noise"] == pytest.approx(0.032, rel=0.25)
    assert 0.02 < found["spacing"] < 0.1
    assert len(found["lower"]) == len(found["upper"]) == 3
