import numpy as np
import pytest
from mesh_measures import edge_counts, volume
from scipy.spatial.transform import Rotation

from pcdenoise.datasets import distance_fields as df
from pcdenoise.datasets.contouring import Field, Mesh, dual_contour, sample_grid
from pcdenoise.errors import InputError

CELL = 0.04


def contour(field: Field) -> Mesh:
    return dual_contour(field, np.full(3, -1.1), np.full(3, 1.1), CELL)


def test_cube_reaches_its_corners_in_every_pose() -> None:
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    for seed in range(5):
        turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
        vertices, faces = contour(df.placed(df.box((0.5, 0.5, 0.5)), rotation=turn))
        distances = np.linalg.norm((vertices @ turn)[:, None] - corners, axis=2).min(axis=0)
        assert np.median(distances) < 1e-6
        assert distances.max() < 0.8 * CELL
        # Between the corners the creases are exact: no vertex is off the cube, and hardly any volume is lost.
        assert np.median(np.abs(df.box((0.5, 0.5, 0.5))(vertices @ turn))) < 1e-9
        assert volume((vertices, faces)) == pytest.approx(1, abs=5e-4)


def test_creases_of_a_cube_are_sharp() -> None:
    turn = Rotation.from_euler("xyz", [20, 35, 50], degrees=True).as_matrix()
    vertices, faces = contour(df.placed(df.box((0.6, 0.6, 0.6)), rotation=turn))
    corners = (vertices @ turn)[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    flat = np.abs(normals).max(axis=1) > 0.999 * areas
    assert areas[flat].sum() > 0.995 * areas.sum()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (df.ball(0.9), 4 / 3 * np.pi * 0.9**3),
        (df.torus(0.6, 0.3), 2 * np.pi**2 * 0.6 * 0.3**2),
        (df.cylinder(0.5, 0.7), np.pi * 0.25 * 1.4),
        (df.frustum(0.8, 0.2, 0.5), np.pi / 3 * (0.64 + 0.16 + 0.04)),
        (df.prism(4, 0.5, 0.4), 0.8),
        (df.superquadric((0.8, 0.6, 0.5), 1, 1), 4 / 3 * np.pi * 0.24),
        (df.rod((-0.5, 0, 0), (0.5, 0, 0), 0.4), np.pi * 0.16),
        (df.capsules([[0, 0, -0.4]], [[0, 0, 0.4]], [0.4], [0.4], 0.1), np.pi * 0.16 * 0.8 + 4 / 3 * np.pi * 0.064),
        (df.difference(df.box((0.6, 0.6, 0.6)), df.box((0.3, 0.3, 1))), 1.728 - 0.36 * 1.2),
        (df.intersection(df.ball(0.9), df.half_space((0, 0, 1), 0)), 2 / 3 * np.pi * 0.9**3),
        (df.thickened(df.ball(0.7), 0.1), 4 / 3 * np.pi * (0.8**3 - 0.6**3)),
    ],
)
def test_volumes_of_primitives(field: Field, expected: float) -> None:
    vertices, faces = contour(field)
    assert (edge_counts(faces) == 1).all()
    assert volume((vertices, faces)) == pytest.approx(expected, rel=0.004)


def test_edges_touching_at_samples_stay_manifold() -> None:
    """Two cubes that share an edge, two that share a corner, and random noise: all the ambiguous cells there are."""
    touching = df.union(
        df.placed(df.box((0.3, 0.3, 0.3)), (0.3, 0.3, 0)),
        df.placed(df.box((0.3, 0.3, 0.3)), (-0.3, -0.3, 0)),
        df.placed(df.box((0.2, 0.2, 0.2)), (0.8, 0.8, 0.5)),
    )
    rng = np.random.default_rng(0)
    rough = df.waves(20 * rng.standard_normal((12, 3)), rng.uniform(0, 6, 12), np.full(12, 0.2))
    for field in (touching, df.intersection(rough, df.ball(0.9))):
        _, faces = contour(field)
        assert (edge_counts(faces) == 1).all()


def test_smooth_vertices_lie_on_the_surface() -> None:
    vertices, _ = contour(df.ball(0.9))
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.9).max() < 1e-6


def test_blocks_far_from_the_surface_keep_their_sign() -> None:
    field = df.union(df.torus(0.6, 0.1), df.placed(df.ball(0.15), (0.1, 0.2, 0.7)))
    origin, shape = np.array([-1.0, -0.9, -1.1]), np.array([41, 38, 43])
    values = sample_grid(field, origin, shape, CELL)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=3).reshape(-1, 3)
    exact = field(origin + CELL * index).reshape(shape)
    np.testing.assert_array_equal(values < 0, exact < 0)
    near = np.abs(exact) < 2 * CELL
    np.testing.assert_array_equal(values[near], exact[near])


def test_empty_field_is_refused() -> None:
    with pytest.raises(InputError, match="nowhere negative"):
        contour(lambda x: np.ones(len(x)))
