"""Pictures of points by a small rasteriser: no display, no graphics driver, the same pixels on every machine."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdenoise.viewer.camera import Camera
from pcdenoise.viewer.shading import CLAY, lit, rgb

SHOWN = 150_000  # points in one picture
OVERSAMPLING = 2  # pixels per side of a final pixel
EDGE_DARKNESS = 12.0


def render_points(
    points: NDArray[np.float64],
    colors: NDArray[Any] | None = None,
    size: tuple[int, int] = (900, 700),
    *,
    camera: Camera | None = None,
    point_size: float | None = None,
    shaded: bool = True,
) -> NDArray[np.uint8]:
    """A picture of a cloud on white.

    Args:
        points: (n, 3); rows that are not finite are left out. Of a large cloud 150,000 random ones are drawn.
        colors: (n, 3) of any type, see `shading.rgb`; clay where there are none.
        size: width and height in pixels; those of the camera where one is given.
        camera: where to look from; by default `Camera.facing(points)`.
        point_size: diameter in pixels; by default just so large that a surface looks closed.
        shaded: whether light falls on the points, by normals of their neighbourhoods.

    Returns:
        (height, width, 3) uint8.
    """
    points = np.asarray(points, dtype=np.float64)
    if camera is None:
        camera = Camera.facing(points, *size)
    rows = np.flatnonzero(camera.sees(points))
    if len(rows) == 0:
        return np.full((camera.height, camera.width, 3), 255, dtype=np.uint8)
    if len(rows) > SHOWN:
        rows = np.sort(np.random.default_rng(0).choice(rows, SHOWN, replace=False))

    shown = points[rows]
    paint = np.tile(CLAY, (len(rows), 1)) if colors is None else rgb(np.asarray(colors)[rows])
    if shaded:
        whole = points[np.isfinite(points).all(axis=1)]
        paint = lit(whole, shown, paint, camera)
    if point_size is None:
        point_size = fitting_point_size(shown, camera)
    pixels, depth = _splatted(camera.project(shown), paint, camera, point_size * OVERSAMPLING)
    if shaded:
        pixels *= _edges(depth)[:, :, None]
    blocks = pixels.reshape(camera.height, OVERSAMPLING, camera.width, OVERSAMPLING, 3)
    picture: NDArray[np.uint8] = np.rint(255 * blocks.mean(axis=(1, 3))).astype(np.uint8)
    return picture


def fitting_point_size(points: NDArray[np.float64], camera: Camera) -> float:
    """The diameter in pixels at which the points of a surface, finite and seen by the camera, close its gaps."""
    if len(points) < 5:
        return 9.0
    if len(points) > SHOWN:
        points = np.random.default_rng(0).choice(points, SHOWN, replace=False)
    local = camera.local(points)
    sample = local[:: max(len(local) // 5000, 1)]
    gaps = np.asarray(cKDTree(local).query(sample, k=5)[0])[:, -1]  # on a square grid the four nearest are at its pitch
    closed = 2.1 * camera.focal * float(np.median(gaps / sample[:, 2]))
    # in a thick layer of noise the nearest are close, but one behind the other: cover the area four times over
    cells = np.unique(camera.project(points)[:, :2] // 8, axis=0)
    covered = float(np.sqrt(4 * 2 * 64 * len(cells) * 4 / np.pi / len(points)))
    return float(np.clip(max(closed, min(covered, 3.0)), 1.0, 24.0))


def _splatted(
    projected: NDArray[np.float64], colors: NDArray[np.float64], camera: Camera, point_size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw discs with a depth buffer: each pixel shows the nearest disc that covers it.

    Returns:
        (rows, columns, 3) colours in 0 to 1 on white, and (rows, columns) depth, infinite where nothing is.
    """
    width, height = camera.width * OVERSAMPLING, camera.height * OVERSAMPLING
    places = np.floor(projected[:, :2] * OVERSAMPLING).astype(np.int64)
    nearest = np.full((height, width), np.inf)
    painter = np.full((height, width), -1)
    _draw_discs(places, projected[:, 2], point_size / 2, nearest, painter)
    pixels = np.ones((height, width, 3))
    pixels[painter >= 0] = colors[painter[painter >= 0]]
    return pixels, nearest


@numba.njit(cache=True)
def _draw_discs(places: Any, depths: Any, radius: float, nearest: Any, painter: Any) -> None:
    """Write into `nearest` and `painter` the depth and the row of the nearest disc on each pixel."""
    reach = int(radius)
    for i in range(len(places)):
        for y in range(max(places[i, 1] - reach, 0), min(places[i, 1] + reach + 1, nearest.shape[0])):
            for x in range(max(places[i, 0] - reach, 0), min(places[i, 0] + reach + 1, nearest.shape[1])):
                inside = (y - places[i, 1]) ** 2 + (x - places[i, 0]) ** 2 <= radius * radius
                if inside and depths[i] < nearest[y, x]:
                    nearest[y, x] = depths[i]
                    painter[y, x] = i


def _edges(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eye-dome lighting: a pixel darkens with how much nearer its neighbours are (Boucheny 2009, section 4).

    Args:
        depth: (rows, columns), around 1, infinite where nothing is.

    Returns:
        (rows, columns) factors above 0, 1 where there is nothing to darken.
    """
    far = np.log(np.where(np.isfinite(depth), depth, 10.0))
    hidden = np.zeros_like(far)
    steps = [(-4, 0), (4, 0), (0, -4), (0, 4), (-3, -3), (-3, 3), (3, -3), (3, 3)]
    padded = np.pad(far, 4, mode="edge")
    rows, columns = far.shape
    for dy, dx in steps:
        beside = padded[4 + dy : 4 + dy + rows, 4 + dx : 4 + dx + columns]
        hidden += np.clip(far - beside, 0.0, 0.06)
    darker: NDArray[np.float64] = np.where(np.isfinite(depth), np.exp(-EDGE_DARKNESS * hidden / len(steps)), 1.0)
    return darker
