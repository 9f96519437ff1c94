import numpy as np
import pytest
from mesh_measures import edge_counts, volume

from pcdenoise.datasets import lofts
from pcdenoise.errors import InputError

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
LETTER_L = np.array([[0.0, 0], [2, 0], [2, 1], [1, 1], [1, 3], [0, 3]])


def polygon_area(polygon: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = polygon[triangles].transpose(1, 0, 2)
    crossed = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (crossed >= 0).all()
    return float(crossed.sum() / 2)


@pytest.mark.parametrize(("polygon", "area"), [(SQUARE, 1.0), (LETTER_L, 4.0)])
def test_ears_cover_the_polygon(polygon: np.ndarray, area: float) -> None:
    assert polygon_area(polygon, lofts.triangulate_polygon(polygon)) == pytest.approx(area)


def test_clockwise_polygon_is_refused() -> None:
    with pytest.raises(InputError, match="counter-clockwise"):
        lofts.triangulate_polygon(LETTER_L[::-1])


def test_volumes_are_exact_and_meshes_closed() -> None:
    one = np.ones(2)
    prism = lofts.extruded(LETTER_L, np.array([0.0, 0.5]), one, 0 * one)
    ring = lofts.lathed(np.array([[1.0, 0], [2, 0], [2, 1], [1, 1]]), 400, closed=True)
    cone = lofts.lathed(np.array([[1.0, 0], [0.5, 1]]), 400, closed=False)
    u, v = np.meshgrid(np.linspace(0, 2, 5), np.linspace(0, 3, 4), indexing="ij")
    plate = lofts.slab(np.stack([u, v, 0 * u + 0.1], axis=2), np.stack([u, v, 0 * u], axis=2))
    cube = lofts.hull(np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float))
    pair = lofts.joined(cube, (cube[0] + 5, cube[1]))
    expected = [2.0, 3 * np.pi, np.pi / 3 * 1.75, 0.6, 1.0, 2.0]
    for mesh, value in zip((prism, ring, cone, plate, cube, pair), expected, strict=True):
        assert (edge_counts(mesh[1]) == 1).all()
        assert volume(mesh) == pytest.approx(value, rel=1e-3)
        finer = lofts.subdivided(mesh, 2_000)
        assert len(finer[1]) >= 2_000
        assert (edge_counts(finer[1]) == 1).all()
        assert volume(finer) == pytest.approx(volume(mesh), rel=1e-9)
