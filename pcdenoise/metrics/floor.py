"""The floor: what a result without any error would score.

Two clouds of one surface differ because they are samplings, a mesh and a cloud because one is finite. Below what these
clouds score there is only sampling noise to chase.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.sampling import poisson_disk
from pcdenoise.geometry.triangles import point_to_mesh

# Data sets draw from [seed, number of the shape], and [0, 0] gives the same numbers as 0: another sampling must not be
# the one that it is compared with.
STREAM = 0x5EC04D


def projection(noisy: NDArray[Any], vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[np.float64]:
    """What an oracle makes of a noisy cloud: each point at the nearest place of the mesh.

        x_i = argmin_{p on the mesh} |p - y_i|

    It knows the surface, but not where on it a point came from: its face-to-point and Chamfer distances stay above 0.

    Args:
        noisy: (n, 3), finite.
        vertices: (v, 3) of the mesh, in the same unit.
        faces: (f, 3) vertex indices.

    Returns:
        (n, 3) float64.

    Raises:
        InputError: no mesh, or coordinates not finite.
    """
    return point_to_mesh(noisy, vertices, faces).closest


def sampling(vertices: NDArray[Any], faces: NDArray[Any], count: int, seed: int) -> NDArray[np.float64]:
    """Another clean cloud of the same surface: `poisson_disk`, independent of the one it is compared with.

    Args:
        vertices: (v, 3) of the mesh.
        faces: (f, 3) vertex indices.
        count: points, as many as the result has.
        seed: of it.

    Returns:
        (count, 3) float64.

    Raises:
        InputError: the mesh has no area.
    """
    return poisson_disk(vertices, faces, count, np.random.default_rng([seed, STREAM]))[0]
