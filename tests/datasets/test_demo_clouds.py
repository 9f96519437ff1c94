from pathlib import Path

import numpy as np
import pytest

from pcdenoise.io import read

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize("name", ["flange", "sheet", "calf"])
def test_demo_clouds_are_small_coloured_and_described(name: str) -> None:
    path = DATA / f"{name}.ply"
    assert path.stat().st_size < 500_000
    cloud = read(path)
    assert 12_000 <= len(cloud) <= 20_000
    assert cloud.finite.all()
    assert cloud.attributes["colors"].dtype == np.uint8
    assert np.ptp(cloud.attributes["colors"], axis=0).max() > 50
    assert name in (DATA / "README.md").read_text()
