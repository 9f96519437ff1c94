"""Dual contouring: a closed triangle mesh with sharp edges from a function that is negative inside a solid."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError

Field = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""(n, 3) positions -> (n,) values: negative inside, positive outside, zero on the surface."""

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Vertices (v, 3) and outward-oriented triangles (f, 3)."""

CHUNK = 1 << 13
STEEPEST = 2.0
"""Largest slope a field may have for a block of samples to be skipped safely; a distance has slope 1."""
BISECTIONS = 9
FLAT = 0.01
"""Ratio of eigenvalues of `sum n n^T` below which a direction is free: a crease of less than 11 degrees is smooth."""

REACH = 1.1
"""How far from its cell's centre a vertex may lie, in cells: a corner can poke through a face of the cell."""


def dual_contour(field: Field, lower: NDArray[np.float64], upper: NDArray[np.float64], cell: float) -> Mesh:
    """Mesh the zero set of `field` inside a box.

    One vertex per grid cell minimises `sum_i (n_i . (x - p_i))^2` over the crossings `p_i` of the cell's edges with
    the surface and the normals `n_i` there, so it falls onto creases and corners (Ju, Losasso, Schaefer, Warren: Dual
    contouring of Hermite data, SIGGRAPH 2002). Directions which the normals leave free are not moved (truncated
    eigenvalues), and a minimiser far outside its cell or off the surface gives way to the next lower rank. Newton
    steps then take the vertices onto the surface. Before that, samples are added to the inside until no two of them
    touch along an edge or at a corner only (a well-composed image: Latecki, Eckhardt, Rosenfeld 1995), which makes the
    mesh a manifold: every edge belongs to exactly two faces.

    Args:
        field: negative inside.
        lower: (3,) corner of the box; whatever reaches over the box is cut off there.
        upper: (3,) opposite corner.
        cell: edge length of the cubic grid cells; parts thinner than this can be lost.

    Raises:
        InputError: the field is nowhere negative in the box.
    """
    margin = np.array([2.37, 2.41, 2.29])  # two layers outside, and off the round numbers designers use
    origin = lower - margin * cell
    shape = np.ceil((upper - lower) / cell + margin + 2).astype(np.int64) + 1
    values = sample_grid(field, origin, shape, cell)
    inside = values < 0
    for axis in range(3):
        for border in (slice(0, 2), slice(-2, None)):
            inside[tuple(border if a == axis else slice(None) for a in range(3))] = False
    if not inside.any():
        raise InputError("the field is nowhere negative on the grid; enlarge the box or refine the cells")
    _make_well_composed(inside, values)

    base, axes, lower_inside = _crossed_edges(inside)
    start = origin + base * cell
    end = start.copy()
    end[np.arange(len(axes)), axes] += cell
    flip = ~lower_inside[:, None]
    crossings = _bisect(field, np.where(flip, end, start), np.where(flip, start, end))
    normals = _normals(field, crossings, 1e-3 * cell)

    # The four cells around each crossed edge, counter-clockwise about the edge's axis.
    u, v, rows = (axes + 1) % 3, (axes + 2) % 3, np.arange(len(axes))
    around = np.repeat(base[:, None, :], 4, axis=1)
    for corner, (du, dv) in enumerate(((0, 0), (-1, 0), (-1, -1), (0, -1))):
        around[rows, corner, u] += du
        around[rows, corner, v] += dv
    keys, quads = np.unique(np.ravel_multi_index(tuple(np.moveaxis(around, 2, 0)), shape), return_inverse=True)
    quads = quads.reshape(-1, 4)
    quads[~lower_inside] = quads[~lower_inside, ::-1]
    corners = origin + np.stack(np.unravel_index(keys, shape), axis=1) * cell
    vertices = _place_vertices(field, quads, crossings, normals, corners, cell)

    # Split each quad along the diagonal which lies closer to the surface.
    middles = [0.5 * (vertices[quads[:, a]] + vertices[quads[:, a + 2]]) for a in (0, 1)]
    first = np.abs(field(middles[0])) <= np.abs(field(middles[1]))
    quads = np.where(first[:, None], quads, np.roll(quads, -1, axis=1))
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def sample_grid(
    field: Field, origin: NDArray[np.float64], shape: NDArray[np.int64], cell: float
) -> NDArray[np.float64]:
    """Values of the field at `origin + cell * (i, j, k)`, shape `shape`.

    Blocks of 4 x 4 x 4 samples whose centre is too far from the surface to reach it get the value at their centre.
    """
    blocks = np.stack(np.unravel_index(np.arange(np.prod(-(-shape // 4))), -(-shape // 4)), axis=1)
    values = np.repeat(_in_pieces(field, origin + cell * (4 * blocks + 1.5))[:, None], 64, axis=1)
    near = np.abs(values[:, 0]) <= STEEPEST * 1.5 * np.sqrt(3) * cell
    inner = np.stack(np.unravel_index(np.arange(64), (4, 4, 4)), axis=1)
    positions = origin + cell * (4 * blocks[near, None] + inner)
    values[near] = _in_pieces(field, positions.reshape(-1, 3)).reshape(-1, 64)
    whole = values.reshape(*(-(-shape // 4)), 4, 4, 4).transpose(0, 3, 1, 4, 2, 5).reshape(4 * -(-shape // 4))
    return np.ascontiguousarray(whole[tuple(slice(n) for n in shape)])


def _in_pieces(field: Field, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """`field(x)`, a cache-sized piece at a time."""
    return np.concatenate([field(x[begin : begin + CHUNK]) for begin in range(0, len(x), CHUNK)] or [np.empty(0)])


def _make_well_composed(inside: NDArray[np.bool_], values: NDArray[np.float64]) -> None:
    """Add samples (in place) until inside samples that meet on an edge or corner also meet on a face."""

    def view(array: NDArray[np.generic], offset: tuple[int, int, int], span: tuple[int, ...]) -> NDArray[np.generic]:
        return array[tuple(slice(o, n - s + o) for o, s, n in zip(offset, span, array.shape, strict=True))]

    # Diagonally opposite offsets in a 2 x 2 square (three orientations) and in a 2 x 2 x 2 cube (four diagonals).
    faces = [((0, 0, 0), (1, 1, 0)), ((0, 0, 0), (1, 0, 1)), ((0, 0, 0), (0, 1, 1))]
    diagonals = [((0, 0, 0), (1, 1, 1)), ((1, 0, 0), (0, 1, 1)), ((0, 1, 0), (1, 0, 1)), ((0, 0, 1), (1, 1, 0))]
    changed = True
    while changed:
        changed = False
        for span, pairs in [(f[1], _square(f[1])) for f in faces] + [((1, 1, 1), _cube(d)) for d in diagonals]:
            on, off = pairs
            for these, others in ((on, off), (off, on)):
                critical = np.logical_and.reduce([view(inside, o, span) for o in these])
                critical &= ~np.logical_or.reduce([view(inside, o, span) for o in others])
                at = np.argwhere(critical)
                if len(at):
                    outer = np.array(others)
                    candidates = at[:, None, :] + outer
                    nearest = values[tuple(np.moveaxis(candidates, 2, 0))].argmin(axis=1)
                    inside[tuple(candidates[np.arange(len(at)), nearest].T)] = True
                    changed = True


Offsets = list[tuple[int, int, int]]


def _square(span: tuple[int, int, int]) -> tuple[Offsets, Offsets]:
    """The two diagonals of the unit square spanned by the axes where `span` is one."""
    a, b = (np.eye(3, dtype=np.int64)[axis] for axis in range(3) if span[axis])
    origin = np.zeros(3, np.int64)
    return [_triple(origin), _triple(a + b)], [_triple(a), _triple(b)]


def _cube(diagonal: Offsets | tuple[tuple[int, int, int], ...]) -> tuple[Offsets, Offsets]:
    """The two corners of a space diagonal of the unit cube, and the six others."""
    corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    return list(diagonal), [corner for corner in corners if corner not in diagonal]


def _triple(offset: NDArray[np.int64]) -> tuple[int, int, int]:
    return int(offset[0]), int(offset[1]), int(offset[2])


def _crossed_edges(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Grid edges with one end inside: index of the lower end (m, 3), axis (m,), and whether the lower end is inside."""
    bases, axes, flags = [], [], []
    for axis in range(3):
        ahead = np.moveaxis(inside, axis, 0)
        crossed = np.moveaxis(ahead[1:] != ahead[:-1], 0, axis)
        base = np.argwhere(crossed)
        bases.append(base)
        axes.append(np.full(len(base), axis))
        flags.append(inside[tuple(base.T)])
    return np.concatenate(bases), np.concatenate(axes), np.concatenate(flags)


def _bisect(field: Field, inner: NDArray[np.float64], outer: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, 3) zero of the field between an inner and an outer point; an end point where the field has none between."""
    for _ in range(BISECTIONS):
        middle = 0.5 * (inner + outer)
        is_inside = (field(middle) < 0)[:, None]
        inner, outer = np.where(is_inside, middle, inner), np.where(is_inside, outer, middle)
    low, high = field(inner), field(outer)
    fraction = np.divide(-low, high - low, out=np.full_like(low, 0.5), where=(low < 0) & (high >= 0))
    crossing: NDArray[np.float64] = inner + fraction[:, None] * (outer - inner)
    return crossing


def _normals(field: Field, points: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """(m, 3) unit gradients; zero where the field has none."""
    gradient = _gradient(field, points, step)
    length = np.linalg.norm(gradient, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(gradient, length, out=np.zeros_like(gradient), where=length > 0)
    return unit


def _gradient(field: Field, points: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """(m, 3) gradients by central differences."""
    return np.stack([field(points + e) - field(points - e) for e in step * np.eye(3)], axis=1) / (2 * step)


def _place_vertices(
    field: Field,
    quads: NDArray[np.int64],
    crossings: NDArray[np.float64],
    normals: NDArray[np.float64],
    corners: NDArray[np.float64],
    cell: float,
) -> NDArray[np.float64]:
    """(c, 3) minimisers of the quadratic error of each cell, in or near the cell."""
    count, members = len(corners), quads.ravel()
    p, n = np.repeat(crossings, 4, axis=0), np.repeat(normals, 4, axis=0)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(members, values, count).astype(np.float64)

    size = total(np.ones(len(members)))
    centre = np.stack([total(p[:, a]) for a in range(3)], axis=1) / size[:, None]
    height = np.einsum("ij,ij->i", n, p - centre[members])
    right = np.stack([total(n[:, a] * height) for a in range(3)], axis=1)
    matrix = np.empty((count, 3, 3))
    for a in range(3):
        for b in range(a, 3):
            matrix[:, a, b] = matrix[:, b, a] = total(n[:, a] * n[:, b])
    eigenvalues, axes = np.linalg.eigh(matrix)
    determined = eigenvalues > FLAT * eigenvalues[:, 2:]
    steps = np.einsum("cji,cj->ci", axes, right) / np.where(determined, eigenvalues, np.inf)

    vertices, solution, rank = centre.copy(), centre.copy(), np.zeros(count, np.int64)
    for level, column in enumerate((2, 1, 0), start=1):
        solution = solution + axes[:, :, column] * steps[:, column, None]
        fits = (np.abs(solution - corners - 0.5 * cell) <= REACH * cell).all(axis=1) & determined[:, column]
        fits[fits] = np.abs(field(solution[fits])) <= 0.1 * cell
        vertices[fits], rank[fits] = solution[fits], level
    for _ in range(2):  # Newton steps onto the surface; crease and corner vertices are there already
        gradient = _gradient(field, vertices, 1e-3 * cell)
        squared = np.einsum("ij,ij->i", gradient, gradient)
        step = np.divide(field(vertices), squared, out=np.zeros(count), where=squared > 1e-12)[:, None] * gradient
        longest = np.where(rank <= 1, 0.5, 0.1) * cell
        step[np.linalg.norm(step, axis=1) > longest] = 0
        vertices -= step
    return vertices
