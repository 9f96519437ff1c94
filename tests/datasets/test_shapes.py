import numpy as np
import pytest
from mesh_measures import edge_counts, volume

from pcdenoise.datasets.shapes import FAMILIES, LEAST_FACES, MOST_FACES, make_shape
from pcdenoise.datasets.unit_sphere import bounding_sphere
from pcdenoise.errors import UsageError


@pytest.mark.parametrize("seed", range(len(FAMILIES)), ids=list(FAMILIES))
def test_each_family_is_closed_normalised_and_of_moderate_size(seed: int) -> None:
    vertices, faces = make_shape(seed)
    assert (edge_counts(faces) == 1).all()
    assert np.array_equal(np.unique(faces), np.arange(len(vertices)))
    assert volume((vertices, faces)) > 0.01
    assert LEAST_FACES <= len(faces) <= MOST_FACES
    centre, radius = bounding_sphere(vertices)
    np.testing.assert_allclose(centre, 0, atol=1e-12)
    assert radius == pytest.approx(1)


def test_seeds_repeat_and_differ() -> None:
    family = "polyhedra"
    first, again, other = make_shape(4, family), make_shape(4, family), make_shape(5, family)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not np.allclose(first[0], other[0])
    contoured = make_shape(0, "csg")
    np.testing.assert_array_equal(contoured[0], make_shape(0, "csg")[0])


def test_families_take_turns() -> None:
    number = list(FAMILIES).index("polyhedra") + 2 * len(FAMILIES)
    np.testing.assert_array_equal(make_shape(number)[0], make_shape(number, "polyhedra")[0])


def test_unknown_family() -> None:
    with pytest.raises(UsageError, match="choose one of csg"):
        make_shape(0, "teapot")
