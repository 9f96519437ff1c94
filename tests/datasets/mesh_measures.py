"""What a closed mesh must satisfy, for the tests of this folder."""

import numpy as np
from numpy.typing import NDArray

from pcdenoise.datasets.contouring import Mesh


def edge_counts(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each directed edge and its reverse occur: (edges, 2)."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    unique, inverse = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True)
    forward = directed[:, 0] < directed[:, 1]
    return np.stack([np.bincount(inverse[side], minlength=len(unique)) for side in (forward, ~forward)], axis=1)


def volume(mesh: Mesh) -> float:
    a, b, c = mesh[0][mesh[1]].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)
