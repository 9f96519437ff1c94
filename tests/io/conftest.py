"""Where the shared scans are, and clouds small enough to write by hand."""

from pathlib import Path

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "real"


@pytest.fixture
def real():
    """A real scan by name; the test is skipped where the scans are not."""

    def find(name: str) -> Path:
        if not (REAL / name).is_file():
            pytest.skip(f"{REAL / name} is not here")
        return REAL / name

    return find


@pytest.fixture
def utm() -> PointCloud:
    """Twenty points at UTM coordinates with millimetres, and attributes of the usual kinds."""
    rng = np.random.default_rng(7)
    points = rng.uniform(0, 100, (20, 3)) + np.array([450_000.0, 5_400_000.0, 300.0])
    return PointCloud(
        np.round(points, 3),
        {
            "colors": rng.integers(0, 256, (20, 3)).astype(np.uint8),
            "intensity": rng.integers(0, 65536, 20).astype(np.uint16),
            "classification": rng.integers(0, 20, 20).astype(np.uint8),
            "time": rng.uniform(0, 1e9, 20),
        },
    )
