from pathlib import Path

import numpy as np
import pytest

from pcdenoise.datasets.procedural import Shapes
from pcdenoise.errors import UsageError


def test_shapes_repeat_and_ranges_join(tmp_path: Path) -> None:
    seen = []
    source = Shapes(3, 3, (200, 100), families=("polyhedra", "plates"), meshes=True, cache_dir=tmp_path)
    surfaces = source.surfaces(lambda done, total, name: seen.append((done, total, name)))
    assert [s.name for s in surfaces] == ["plates-00003", "polyhedra-00004", "plates-00005"]
    assert seen == [(1, 3, "plates-00003"), (2, 3, "polyhedra-00004"), (3, 3, "plates-00005")]
    assert [p.shape for p, _ in surfaces[0].clouds.values()] == [(200, 3), (100, 3)]
    assert surfaces[0].mesh is not None
    source.surfaces(lambda *_: pytest.fail("the second time comes from the cache"))
    alone = Shapes(1, 4, (200, 100), families=("polyhedra", "plates")).surfaces()[0]
    assert alone.mesh is None
    np.testing.assert_array_equal(alone.clouds[200][0], surfaces[1].clouds[200][0])


def test_unknown_family() -> None:
    with pytest.raises(UsageError, match="teapot"):
        Shapes(families=("teapot",))
