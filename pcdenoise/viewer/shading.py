"""Colours that let the eye judge a surface: light on local normals, so that noise is seen as roughness."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.geometry.normals import plane_normals
from pcdenoise.viewer.camera import Camera

CLAY = np.array([0.47, 0.66, 0.86])  # of a cloud without colours
NEIGHBOURS = 16
LIGHT = np.array([-0.45, -0.64, -0.62])  # the way to the lamp: left, above and behind the eye


def rgb(colors: NDArray[Any]) -> NDArray[np.float64]:
    """Colours (n, 3 or 4) of any type to (n, 3) in 0 to 1.

    Integers count from 0 to the end of their type, but to 255 where none is larger (8-bit colours in LAS files);
    floats to 1, or to 255 where one is larger than 1.
    """
    values = np.nan_to_num(np.asarray(colors)[:, :3].astype(np.float64))
    largest = values.max(initial=0.0)
    if np.issubdtype(np.asarray(colors).dtype, np.integer):
        full = 255.0 if largest <= 255 else float(np.iinfo(colors.dtype).max)
    else:
        full = 1.0 if largest <= 1 else 255.0
    return np.clip(values / full, 0.0, 1.0)


def lit(
    points: NDArray[np.float64], queries: NDArray[np.float64], colors: NDArray[np.float64], camera: Camera
) -> NDArray[np.float64]:
    """Colours of the queries as a lamp near the camera shows them.

    Args:
        points: (n, 3) the whole cloud, finite: its neighbourhoods give the normals.
        queries: (m, 3) the points to colour, finite.
        colors: (m, 3) in 0 to 1.
        camera: who looks.

    Returns:
        (m, 3) in 0 to 1.
    """
    facing = plane_normals(points, NEIGHBOURS, queries) @ camera.axes.T
    away = np.einsum("ni,ni->n", facing, camera.local(queries)) > 0
    facing[away] *= -1
    bright = ((1 + facing @ LIGHT[:, None]) / 2) ** 1.5  # soft, so that no side is black
    shown: NDArray[np.float64] = np.clip(colors * (0.36 + 0.72 * bright) + 0.08 * bright**16, 0.0, 1.0)
    return shown
