"""Where to stand so that a cloud is seen well, and which pixel each point falls on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AXES = np.eye(3)
FIELD_OF_VIEW = np.radians(25.0)  # of the picture's height; narrow, so that near and far parts look alike
RELIEF = 0.05  # thickness over each place / extent, below which a cloud is a terrain, seen from above


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera, in the unit and the coordinate system of the cloud.

    Attributes:
        eye: (3,) where it stands.
        axes: (3, 3) rows are right, down and forward, in world coordinates.
        section: (3,) the direction across which a section through the cloud shows its surface as a line.
        distance: from the eye to the middle of the cloud.
        width, height: of the picture, in pixels.
    """

    eye: NDArray[np.float64]
    axes: NDArray[np.float64]
    section: NDArray[np.float64]
    distance: float
    width: int
    height: int

    @classmethod
    def facing(cls, points: NDArray[np.float64], width: int, height: int, margin: float = 0.04) -> "Camera":
        """A three-quarter view that fits all but the outermost points of a cloud.

        Depth images in their sensor's frame (everything within 45 degrees of +z) are seen from the sensor; terrain
        obliquely from above, z up; all else along its thinner side, with that of y and z up on which it stands wider.

        Args:
            points: (n, 3); rows that are not finite are ignored.
            width, height: of the picture, in pixels.
            margin: free border, as a part of the picture.
        """
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) == 0:
            points = np.zeros((1, 3))
        low, high = np.percentile(points, [0.5, 99.5], axis=0)
        middle = (low + high) / 2
        kept = points[(np.abs(points - middle) <= 0.55 * (high - low)).all(axis=1)] - middle
        if len(kept) == 0:
            kept = np.zeros((1, 3))

        axes, section = _directions(points, high - low)
        local = kept @ axes.T
        shift = (local.min(axis=0) + local.max(axis=0)) / 2
        local -= shift
        tangents = np.tan(FIELD_OF_VIEW / 2) * (1 - 2 * margin) * np.array([width / height, 1.0])
        reach = float(np.abs(local).max())
        distance = float((np.abs(local[:, :2]) / tangents - local[:, 2:]).max()) + 0.01 * reach
        if reach == 0:
            distance = 1.0
        eye = middle + shift @ axes - distance * axes[2]
        return cls(eye, axes, section, distance, width, height)

    @property
    def focal(self) -> float:
        """The focal length in pixels."""
        return float(self.height / 2 / np.tan(FIELD_OF_VIEW / 2))

    def local(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """World coordinates (n, 3) to right, down, forward; the eye is at 0, the middle of the cloud at depth 1."""
        local: NDArray[np.float64] = (points - self.eye) @ self.axes.T / self.distance
        return local

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """World coordinates (n, 3) to x and y in pixels, from the upper left corner, and depth as in `local`."""
        local = self.local(points)
        depth = local[:, 2:]
        pixels = self.focal * local[:, :2] / np.where(depth > 0, depth, np.nan)
        return np.hstack([pixels + np.array([self.width, self.height]) / 2, depth])

    def sees(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) true for finite points that fall into the picture."""
        x, y, _ = self.project(points).T
        inside: NDArray[np.bool_] = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)  # false where NaN
        return inside


def _directions(
    points: NDArray[np.float64], extent: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The camera's axes as rows (right, down, forward), and the direction across a section."""
    x, y, z = AXES
    sideways, depth = np.abs(points[:, :2]).max(axis=1), points[:, 2]
    if (sideways < depth).mean() > 0.98:
        return _axes(forward=z, up=-y, azimuth=-12, elevation=8), x
    if extent[2] < 0.5 * extent[:2].max() and _relief(points, extent) < RELIEF:
        return _axes(forward=y, up=z, azimuth=25, elevation=40), x
    if _footing(points, 1) > 1.05 * _footing(points, 2):
        forward, up, section = (-z, y, x) if extent[2] <= 1.1 * extent[0] else (-x, y, z)
    else:
        forward, up, section = (y, z, x) if extent[1] <= 1.1 * extent[0] else (-x, z, y)
    return _axes(forward, up, azimuth=30, elevation=18), section


def _footing(points: NDArray[np.float64], up: int) -> float:
    """How much of its own width and length a cloud stands on, if axis `up` is up."""
    height = points[:, up]
    lowest, highest = np.percentile(height, [1, 99])
    ground = np.delete(points, up, axis=1)
    foot = ground[height <= lowest + 0.05 * (highest - lowest)]
    (foot_low, foot_high), (low, high) = (np.percentile(part, [2, 98], axis=0) for part in (foot, ground))
    return float(np.prod(foot_high - foot_low) / max(np.prod(high - low), np.finfo(float).tiny))


def _relief(points: NDArray[np.float64], extent: NDArray[np.float64], cells: int = 24) -> float:
    """How thick a cloud is over a typical place of the ground, as a part of its extent."""
    ground = points[:, :2] - np.percentile(points[:, :2], 0.5, axis=0)
    column, row = np.clip(ground / extent.max() * cells, 0, cells - 1).astype(np.int64).T
    place = column * cells + row
    top, bottom = np.full(cells * cells, -np.inf), np.full(cells * cells, np.inf)
    np.maximum.at(top, place, points[:, 2])
    np.minimum.at(bottom, place, points[:, 2])
    return float(np.median((top - bottom)[place]) / extent.max())


def _axes(
    forward: NDArray[np.float64], up: NDArray[np.float64], azimuth: float, elevation: float
) -> NDArray[np.float64]:
    """Walk `azimuth` degrees around the cloud and climb `elevation` degrees, still looking at its middle."""
    right = np.cross(forward, up)
    a, e = np.radians([azimuth, elevation])
    ahead = np.cos(a) * forward + np.sin(a) * right
    right = np.cross(ahead, up)
    looking = np.cos(e) * ahead - np.sin(e) * up
    return np.stack([right, np.cross(looking, right), looking])
