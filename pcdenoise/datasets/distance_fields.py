"""Solids as functions: negative inside, zero on the surface, a distance or close to one near it.

Formulas after Hart, Sphere tracing (The Visual Computer 1996); lengths are in whatever unit the arguments have.
Every builder returns a `Field`, (n, 3) -> (n,).
"""

import math
from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from pcdenoise.datasets.contouring import Field


def ball(radius: float) -> Field:
    """`|x| - r`."""
    return lambda x: np.linalg.norm(x, axis=1) - radius


def half_space(normal: ArrayLike, offset: float) -> Field:
    """`n . x - offset` for the unit vector along `normal`."""
    n = np.asarray(normal, dtype=np.float64)
    n = n / np.linalg.norm(n)
    return lambda x: x @ n - offset


def box(half: ArrayLike) -> Field:
    """An axis-aligned box of half widths (3,)."""
    extent = np.asarray(half, dtype=np.float64)

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        q = np.abs(x) - extent
        value: NDArray[np.float64] = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)
        return value

    return field


def cylinder(radius: float, half_height: float) -> Field:
    """A capped cylinder about the z axis."""
    return lambda x: np.maximum(np.hypot(x[:, 0], x[:, 1]) - radius, np.abs(x[:, 2]) - half_height)


def frustum(bottom: float, top: float, half_height: float) -> Field:
    """A capped cone about the z axis with the given radii at z = -half_height and z = half_height."""
    slope = (top - bottom) / (2 * half_height)
    scale = 1 / np.hypot(1, slope)

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        side = np.hypot(x[:, 0], x[:, 1]) - 0.5 * (bottom + top) - slope * x[:, 2]
        value: NDArray[np.float64] = np.maximum(scale * side, np.abs(x[:, 2]) - half_height)
        return value

    return field


def prism(sides: int, radius: float, half_height: float) -> Field:
    """A regular polygon (inscribed circle `radius`) extruded along z."""
    angles = 2 * np.pi * np.arange(sides) / sides
    normals = np.stack([np.cos(angles), np.sin(angles)])
    return lambda x: np.maximum((x[:, :2] @ normals).max(axis=1) - radius, np.abs(x[:, 2]) - half_height)


def torus(major: float, minor: float) -> Field:
    """A ring about the z axis."""
    return lambda x: np.hypot(np.hypot(x[:, 0], x[:, 1]) - major, x[:, 2]) - minor


def capsules(starts: ArrayLike, ends: ArrayLike, start_radii: ArrayLike, end_radii: ArrayLike, fillet: float) -> Field:
    """Round rods between starts (m, 3) and ends (m, 3) whose radii (m,) go linearly from one end to the other.

    They are joined one after the other by `min(a, b) - max(r - |a - b|, 0)^2 / (4 r)` with the fillet radius r > 0.
    """
    a, ra = np.asarray(starts, dtype=np.float64), np.asarray(start_radii, dtype=np.float64)
    d, dr = np.asarray(ends, dtype=np.float64) - a, np.asarray(end_radii, dtype=np.float64) - ra
    return lambda x: _capsules(x, a, d, ra, dr, fillet)


@numba.njit(cache=True)
def _capsules(x, a, d, ra, dr, fillet):  # type: ignore[no-untyped-def]
    values = np.empty(len(x))
    for i in range(len(x)):
        value = np.inf
        for j in range(len(a)):
            qx, qy, qz = x[i, 0] - a[j, 0], x[i, 1] - a[j, 1], x[i, 2] - a[j, 2]
            squared = d[j, 0] ** 2 + d[j, 1] ** 2 + d[j, 2] ** 2
            t = min(max((qx * d[j, 0] + qy * d[j, 1] + qz * d[j, 2]) / squared, 0.0), 1.0)
            other = (
                math.sqrt((qx - t * d[j, 0]) ** 2 + (qy - t * d[j, 1]) ** 2 + (qz - t * d[j, 2]) ** 2)
                - ra[j]
                - t * dr[j]
            )
            overlap = max(fillet - abs(value - other), 0.0)
            value = min(value, other) - overlap * overlap / (4 * fillet)
        values[i] = value
    return values


def rod(start: ArrayLike, end: ArrayLike, radius: float) -> Field:
    """A cylinder with flat ends between two points."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    half = 0.5 * float(np.linalg.norm(b - a))
    direction = (b - a) / (2 * half)

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        d = x - 0.5 * (a + b)
        along = d @ direction
        across = np.linalg.norm(d - along[:, None] * direction, axis=1)
        value: NDArray[np.float64] = np.maximum(across - radius, np.abs(along) - half)
        return value

    return field


def superquadric(half: ArrayLike, polar: float, equatorial: float) -> Field:
    """`((|x/a|^(2/e2) + |y/b|^(2/e2))^(e2/e1) + |z/c|^(2/e1))^(e1/2) = 1`, times the smallest half width.

    Barr, Superquadrics and angle-preserving transformations (IEEE CG&A 1981). Exponents: e1 `polar`, e2 `equatorial`;
    below 1 box-like, 1 an ellipsoid, 2 an octahedron.
    """
    extent = np.asarray(half, dtype=np.float64)

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        q = np.maximum(np.abs(x) / extent, 1e-9)
        ring = (q[:, 0] ** (2 / equatorial) + q[:, 1] ** (2 / equatorial)) ** (equatorial / polar)
        gauge = (ring + q[:, 2] ** (2 / polar)) ** (polar / 2)
        return float(extent.min()) * (gauge - 1)

    return field


def tube(curve: NDArray[np.float64], radii: NDArray[np.float64]) -> Field:
    """All points within `radii` (m,) of a closed, densely sampled curve (m, 3)."""
    tree = cKDTree(curve)
    ahead, behind = np.roll(curve, -1, axis=0), np.roll(curve, 1, axis=0)
    chord = np.linalg.norm(ahead - behind, axis=1)
    tangents = (ahead - behind) / chord[:, None]
    slopes = (np.roll(radii, -1) - np.roll(radii, 1)) / chord

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        i = tree.query(x)[1]
        d = x - curve[i]
        along = np.clip(np.einsum("ij,ij->i", d, tangents[i]), -0.5 * chord[i], 0.5 * chord[i])
        value: NDArray[np.float64] = (
            np.linalg.norm(d - along[:, None] * tangents[i], axis=1) - radii[i] - along * slopes[i]
        )
        return value

    return field


def gaussian_blobs(centres: NDArray[np.float64], widths: NDArray[np.float64], level: float) -> Field:
    """`sqrt(-ln sum_i exp(-|x - c_i|^2 / w_i^2)) - level`, times the mean width: blobs that melt into each other."""
    scale = float(widths.mean())

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros(len(x))
        for centre, width in zip(centres, widths, strict=True):
            d = x - centre
            total += np.exp(-np.einsum("ij,ij->i", d, d) / width**2)
        return scale * (np.sqrt(np.maximum(-np.log(np.maximum(total, 1e-300)), 0)) - level)

    return field


def gyroid(frequency: float, offset: float) -> Field:
    """A triply periodic surface: `(sin u cos v + sin v cos w + sin w cos u - offset) / (1.5 f)`, `(u, v, w) = f x`."""

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        s, c = np.sin(frequency * x), np.cos(frequency * x)
        value: NDArray[np.float64] = (np.einsum("ij,ij->i", s, c[:, [1, 2, 0]]) - offset) / (1.5 * frequency)
        return value

    return field


def waves(vectors: NDArray[np.float64], phases: NDArray[np.float64], amplitudes: NDArray[np.float64]) -> Field:
    """`sum_i a_i sin(k_i . x + phi_i)`: smooth noise to add to another field."""
    return lambda x: np.sin(x @ vectors.T + phases) @ amplitudes


def placed(field: Field, shift: ArrayLike = (0, 0, 0), rotation: NDArray[np.float64] | None = None) -> Field:
    """The solid turned by a rotation matrix (3, 3), then moved: `x -> field(R^T (x - shift))`."""
    offset = np.asarray(shift, dtype=np.float64)
    turn = np.eye(3) if rotation is None else rotation
    return lambda x: field((x - offset) @ turn)


def union(*fields: Field) -> Field:
    """The smallest of the values."""

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        value = fields[0](x)
        for other in fields[1:]:
            np.minimum(value, other(x), out=value)
        return value

    return field


def intersection(*fields: Field) -> Field:
    """The largest of the values."""

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        value = fields[0](x)
        for other in fields[1:]:
            np.maximum(value, other(x), out=value)
        return value

    return field


def difference(solid: Field, *holes: Field) -> Field:
    """The first solid without the others."""

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        value = solid(x)
        for hole in holes:
            np.maximum(value, -hole(x), out=value)
        return value

    return field


def smooth_union(fields: Sequence[Field], radius: float) -> Field:
    """`min(a, b) - max(r - |a - b|, 0)^2 / (4 r)`, folded over the fields: a union with fillets of about `radius`."""

    def field(x: NDArray[np.float64]) -> NDArray[np.float64]:
        value = fields[0](x)
        for other in fields[1:]:
            next_value = other(x)
            overlap = np.maximum(radius - np.abs(value - next_value), 0)
            value = np.minimum(value, next_value) - overlap**2 / (4 * radius)
        return value

    return field


def thickened(field: Field, half_thickness: float) -> Field:
    """The layer `|f| <= half_thickness` around a surface."""
    return lambda x: np.abs(field(x)) - half_thickness
