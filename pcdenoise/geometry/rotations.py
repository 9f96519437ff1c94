"""Rotations."""

import numpy as np
from numpy.typing import NDArray


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation drawn uniformly: (3, 3), from the QR decomposition of a Gaussian matrix.

    Source: Mezzadri, "How to generate random matrices from the classical compact groups", 2007.
    """
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return q
