"""Procedural shapes: any number of closed surfaces for training, drawn from a seed, without a download.

`make_shape(seed)` walks through `FAMILIES` in turn: solids with sharp edges, thin walls, rods, holes and freeforms.
Lengths in the families are relative to a shape of about unit radius; the result is normalised afterwards.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from pcdenoise.datasets import distance_fields as df
from pcdenoise.datasets import lofts
from pcdenoise.datasets.contouring import Field, Mesh, dual_contour, sample_grid
from pcdenoise.datasets.unit_sphere import unit_sphere
from pcdenoise.errors import InputError, UsageError

VERSION = 1
"""To be raised whenever a seed comes to mean another shape: caches of sampled shapes are keyed by it."""
LEAST_FACES, MOST_FACES = 5_000, 40_000
MOST_RAGGED = 0.002
"""Largest share of the area that may lie off the surface by more than a fifth of a cell."""


def make_shape(seed: int, family: str | None = None) -> Mesh:
    """Shape number `seed`.

    Args:
        seed: any integer from 0; the same seed gives the same shape.
        family: a name from `FAMILIES`; by default they take turns, `seed` modulo their number.

    Returns:
        vertices (v, 3) in the unit sphere (bounding-box midpoint 0, largest radius 1, a random rotation) and
        triangles (f, 3), closed, oriented outwards, every edge in exactly two faces.

    Raises:
        UsageError: there is no such family.
    """
    names = list(FAMILIES)
    name = names[seed % len(names)] if family is None else family
    if name not in FAMILIES:
        raise UsageError(f"no shape family {name!r}; choose one of {', '.join(names)}")
    rng = np.random.default_rng([seed, names.index(name)])
    while True:
        try:
            vertices, faces = FAMILIES[name](rng)
        except InputError:  # an empty intersection or a profile that crosses itself: draw again
            continue
        vertices, faces = _without_crumbs(vertices, faces)
        vertices, faces = lofts.subdivided((vertices, faces), LEAST_FACES)
        return unit_sphere(vertices @ _rotation(rng).T), faces


def _without_crumbs(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Mesh:
    """Drop connected components with less than 2 % of the faces, and vertices that no face uses."""
    a, b = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(vertices), len(vertices)))
    label = connected_components(graph, directed=False)[1][faces[:, 0]]
    faces = faces[np.bincount(label)[label] >= 0.02 * len(faces)]
    used, inverse = np.unique(faces, return_inverse=True)
    return vertices[used], inverse.reshape(-1, 3)


def _contoured(field: Field, detail: float = 0.15, faces: int = 20_000) -> Mesh:
    """Mesh a field of about unit size with about `faces` triangles, or more where `detail`, the thinnest part, asks."""
    coarse = min(0.08, detail)
    lower, shape = np.full(3, -1.8), np.full(3, int(np.ceil(3.6 / coarse)) + 1)
    inside = sample_grid(field, lower, shape, coarse) < 0
    if not inside.any():
        raise InputError("the field is nowhere negative; draw another shape")
    occupied = np.argwhere(inside)
    low, high = lower + coarse * (occupied.min(axis=0) - 1), lower + coarse * (occupied.max(axis=0) + 1)
    # A surface of area A crosses on average 1.5 A / cell^2 grid edges, each of which becomes two triangles.
    crossings = sum(int(np.count_nonzero(np.diff(inside, axis=axis))) for axis in range(3))
    cell = min(coarse * np.sqrt(2 * crossings / faces), 0.5 * detail)
    cell = max(cell, coarse * np.sqrt(2 * crossings / (0.75 * MOST_FACES)))
    vertices, triangles = dual_contour(field, low, high, cell)
    corners = vertices[triangles]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if areas[np.abs(field(corners.mean(axis=1))) > 0.2 * cell].sum() > MOST_RAGGED * areas.sum():
        raise InputError("the solid has blades thinner than the grid; draw another shape")
    return vertices, triangles


def _rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    return Rotation.random(rng=rng).as_matrix()


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    v = rng.standard_normal(3)
    return v / np.linalg.norm(v)


def _harmonics(t: NDArray[np.float64], terms: int, decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random function of period 2 pi: `sum_k k^-decay (a_k cos k t + b_k sin k t)`, normal a and b."""
    k = np.arange(1, terms + 1)
    a, b = rng.standard_normal((2, terms)) / k**decay
    values: NDArray[np.float64] = np.cos(t[..., None] * k) @ a + np.sin(t[..., None] * k) @ b
    return values


def _noise(rng: np.random.Generator, frequency: float, amplitude: float, terms: int = 16) -> Field:
    """Random waves of wave numbers between 1/2 and 2 times `frequency`, of standard deviation `amplitude`."""
    numbers = frequency * 2 ** rng.uniform(-1, 1, terms)
    vectors = np.stack([_direction(rng) for _ in range(terms)]) * numbers[:, None]
    weights = frequency / numbers
    weights *= amplitude * np.sqrt(2 / (weights @ weights))
    return df.waves(vectors, rng.uniform(0, 2 * np.pi, terms), weights)


def _sum(*fields: Field) -> Field:
    return lambda x: np.sum([f(x) for f in fields], axis=0)


def _primitive(rng: np.random.Generator, size: float) -> Field:
    """A box, cylinder, cone, prism or ball of about radius `size`."""
    a, b, c = size * rng.uniform(0.4, 0.9, 3)
    kind = rng.integers(5)
    if kind == 0:
        return df.box((a, b, c))
    if kind == 1:
        return df.cylinder(a, b)
    if kind == 2:
        return df.frustum(a, a * rng.uniform(0, 0.7), b)
    if kind == 3:
        return df.prism(int(rng.integers(3, 9)), a, b)
    return df.ball(a)


def csg(rng: np.random.Generator) -> Mesh:
    """Unions, differences and intersections of boxes, cylinders, cones, prisms and balls in random poses."""
    solid = _primitive(rng, 1.2)
    if rng.random() < 0.3:
        solid = df.intersection(solid, df.placed(_primitive(rng, 1.5), 0.1 * _direction(rng), _rotation(rng)))
    for _ in range(rng.integers(2, 6)):
        turn = _rotation(rng) if rng.random() < 0.5 else np.eye(3)
        tool = df.placed(_primitive(rng, rng.uniform(0.5, 0.9)), rng.uniform(0.4, 0.7) * _direction(rng), turn)
        solid = df.union(solid, tool) if rng.random() < 0.5 else df.difference(solid, tool)
    return _contoured(solid, 0.1)


def machined(rng: np.random.Generator) -> Mesh:
    """Flange, bracket, stepped shaft, milled block, open housing or nut."""
    part = (_flange, _bracket, _shaft, _block, _housing, _nut)[rng.integers(6)]
    return part(rng)


def _bolts(rng: np.random.Generator, circle: float, radius: float) -> list[Field]:
    """Long holes along z, spread over a circle."""
    angles = 2 * np.pi * np.arange(n := int(rng.integers(3, 9))) / n
    return [df.placed(df.cylinder(radius, 3), (circle * np.cos(a), circle * np.sin(a), 0)) for a in angles]


def _flange(rng: np.random.Generator) -> Mesh:
    plate, hub, height = rng.uniform(0.06, 0.14), rng.uniform(0.4, 0.55), rng.uniform(0.25, 0.7)
    solid = df.union(
        df.cylinder(1, plate), df.placed(df.frustum(hub, hub * rng.uniform(0.7, 1), height / 2), (0, 0, height / 2))
    )
    bore = hub * rng.uniform(0.35, 0.6)
    holes = [df.cylinder(bore, 3), *_bolts(rng, 0.78, rng.uniform(0.06, 0.11))]
    if rng.random() < 0.5:
        holes.append(df.placed(df.box((bore * 0.25, bore * 1.3, 3)), (0, 0, 0)))
    return _contoured(df.difference(solid, *holes), 0.1, 30_000)


def _bracket(rng: np.random.Generator) -> Mesh:
    width, t, tall = rng.uniform(0.3, 0.6), rng.uniform(0.06, 0.12), rng.uniform(0.5, 0.9)
    foot = df.placed(df.box((0.8, width, t)), (0, 0, t))
    wall = df.placed(df.box((t, width, tall)), (-0.8 + t, 0, tall))
    corner = df.intersection(
        df.half_space((1, 0, tall / 0.7), -0.8 + 0.7), df.half_space((-1, 0, 0), 0.8), df.half_space((0, 0, -1), 0)
    )
    ribs = [df.intersection(corner, df.placed(df.box((3, t * 0.7, 3)), (0, y, 0))) for y in (-0.6 * width, 0.6 * width)]
    holes = [df.placed(df.cylinder(0.22 * width, 1), (x, 0, 0)) for x in (0.5, 0.05)]
    turn = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    holes.append(df.placed(df.cylinder(rng.uniform(0.25, 0.4) * width, 1), (-0.8, 0, 1.4 * tall), turn))
    solid = df.union(foot, wall, *ribs) if rng.random() < 0.6 else df.union(foot, wall)
    return _contoured(df.difference(solid, *holes), 0.09, 30_000)


def _shaft(rng: np.random.Generator) -> Mesh:
    edges = np.sort(rng.uniform(-1, 1, rng.integers(2, 5)))
    edges = np.concatenate([[-1], edges[np.diff(edges, prepend=-1) > 0.15], [1]])
    radii = rng.uniform(0.15, 0.45, len(edges) - 1)
    steps = [
        df.placed(df.cylinder(r, (b - a) / 2), (0, 0, (a + b) / 2))
        for r, a, b in zip(radii, edges[:-1], edges[1:], strict=True)
    ]
    chamfer = df.frustum(radii[-1] + 0.9, radii[-1] - 0.1, 1)
    slot = df.placed(df.box((0.3, 0.05, 0.25 * (edges[1] - edges[0]))), (radii[0] + 0.2, 0, (edges[0] + edges[1]) / 2))
    solid = df.intersection(df.union(*steps), chamfer)
    holes = [slot] if rng.random() < 0.7 else [slot, df.cylinder(0.08, 3)]
    return _contoured(df.difference(solid, *holes), 0.1)


def _block(rng: np.random.Generator) -> Mesh:
    half = rng.uniform(0.4, 0.8, 3)
    cuts: list[Field] = []
    for _ in range(rng.integers(2, 6)):
        axis, where = int(rng.integers(3)), rng.uniform(-0.7, 0.7, 3) * half
        kind = rng.integers(4)
        if kind == 0:  # a hole right through
            turn = np.roll(np.eye(3), axis, axis=1)
            cuts.append(df.placed(df.cylinder(rng.uniform(0.15, 0.35) * half.min(), 3), where, turn))
        elif kind == 1:  # a slot
            size = np.full(3, rng.uniform(0.12, 0.3)) * half
            size[axis] = 3
            where[(axis + 1) % 3] = half[(axis + 1) % 3]
            cuts.append(df.placed(df.box(size * [2 if a == (axis + 1) % 3 else 1 for a in range(3)]), where))
        elif kind == 2:  # a step
            corner = half * rng.choice([-1, 1], 3)
            size = half * rng.uniform(0.4, 0.9, 3)
            size[axis] = 3
            cuts.append(df.placed(df.box(size), corner))
        else:  # a bevelled edge
            normal = np.ones(3)
            normal[axis] = 0
            normal *= rng.choice([-1, 1], 3)
            cuts.append(df.half_space(-normal, -float(np.abs(normal) @ half) / np.sqrt(2) * rng.uniform(0.75, 0.92)))
    return _contoured(df.difference(df.box(half), *cuts), 0.1)


def _housing(rng: np.random.Generator) -> Mesh:
    half, wall = rng.uniform((0.6, 0.4, 0.25), (0.9, 0.7, 0.5)), rng.uniform(0.05, 0.09)
    solid = df.difference(df.box(half), df.placed(df.box(half - wall), (0, 0, 2 * wall)))
    solid = df.difference(solid, df.placed(df.box((*(half[:2] - wall), 1)), (0, 0, 1)))
    posts = [(sx * (half[0] - 0.16), sy * (half[1] - 0.16), -0.1) for sx in (-1, 1) for sy in (-1, 1)]
    solid = df.union(solid, *(df.placed(df.cylinder(0.1, half[2] - 0.1), p) for p in posts))
    window = df.placed(
        df.cylinder(0.4 * half[2], 3), (0.2, 0, 0), Rotation.from_euler("x", 90, degrees=True).as_matrix()
    )
    return _contoured(df.difference(solid, window) if rng.random() < 0.6 else solid, wall, 36_000)


def _nut(rng: np.random.Generator) -> Mesh:
    sides, half = int(rng.choice([4, 6, 6, 8])), rng.uniform(0.2, 0.5)
    rounding = df.ball(float(np.hypot(1 / np.cos(np.pi / sides) - 0.08, half)))
    parts = [df.prism(sides, 1, half), rounding]
    bore = df.union(df.cylinder(rng.uniform(0.3, 0.65), 3), df.placed(df.frustum(0.9, 0, 0.45), (0, 0, -half)))
    return _contoured(df.difference(df.intersection(*parts), bore))


def superquadrics(rng: np.random.Generator) -> Mesh:
    """One superquadric or a union of two or three, from pillow-like boxes to pinched octahedra."""
    solids = [
        df.placed(
            df.superquadric(rng.uniform(0.4, 1, 3), rng.uniform(0.15, 2), rng.uniform(0.15, 2)),
            0.5 * i * _direction(rng),
            _rotation(rng),
        )
        for i in range(rng.integers(1, 4))
    ]
    return _contoured(df.union(*solids), 0.12)


def polyhedra(rng: np.random.Generator) -> Mesh:
    """Convex hulls of 4 to 30 random points, bipyramids and antiprisms: flat faces and edges of every angle."""
    if rng.random() < 0.6:
        points = np.stack([_direction(rng) for _ in range(rng.integers(5, 31))])
        return lofts.hull(points * rng.uniform(0.4, 1, 3))
    n, tall = int(rng.integers(3, 9)), rng.uniform(0.3, 1.2)
    angles = 2 * np.pi * np.arange(n) / n
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(n)], axis=1)
    if rng.random() < 0.5:
        return lofts.hull(np.concatenate([ring, [[0, 0, tall], [0, 0, -tall * rng.uniform(0.5, 1)]]]))
    turned = np.stack([np.cos(angles + np.pi / n), np.sin(angles + np.pi / n), np.zeros(n)], axis=1) * rng.uniform(
        0.4, 1
    )
    return lofts.hull(np.concatenate([ring, turned + np.array([0, 0, tall])]))


def plates(rng: np.random.Generator) -> Mesh:
    """One thin plate, or two or three parallel ones with a narrow gap."""
    if rng.random() < 0.5:
        outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(0.5, 1, 2)
    else:
        outline = _star_profile(rng, points=int(rng.integers(3, 9)))
    thickness, gap = rng.uniform(0.02, 0.08), rng.uniform(0.06, 0.2)
    count = int(rng.integers(1, 4))
    flat = np.zeros(2)
    return lofts.joined(
        *(
            lofts.extruded(outline, i * (thickness + gap) + np.array([0, thickness]), flat + 1, flat)
            for i in range(count)
        )
    )


def shells(rng: np.random.Generator) -> Mesh:
    """Curved sheets of constant small thickness: arch, spiral, dome, saddle, waves, helicoid."""
    u, v = np.meshgrid(np.linspace(-1, 1, 181), np.linspace(-1, 1, 41), indexing="ij")
    kind, bend = rng.integers(6), rng.uniform(0.5, 1.4)
    if kind == 0:
        middle = np.stack([np.sin(bend * 2 * u), np.cos(bend * 2 * u), rng.uniform(0.4, 1.2) * v], axis=2)
    elif kind == 1:
        angle = np.pi * rng.uniform(2, 3) * (u + 1)
        radius = 0.25 + 0.05 * angle
        middle = np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(0.3, 0.8) * v], axis=2)
    elif kind == 2:
        middle = np.stack([u, v, np.sqrt(3 - u**2 - v**2)], axis=2)
    elif kind == 3:
        middle = np.stack([u, v, 0.6 * bend * (u**2 - v**2)], axis=2)
    elif kind == 4:
        waves = rng.uniform(0.05, 0.15) * np.sin(rng.uniform(3, 8) * u + rng.uniform(0, 3) * v)
        middle = np.stack([u, rng.uniform(0.4, 1) * v, waves + 0.2 * bend * u * v], axis=2)
    else:
        middle = np.stack([0.6 * v * np.cos(2 * u * bend), 0.6 * v * np.sin(2 * u * bend), u], axis=2)
    return _sheet(middle, rng.uniform(0.02, 0.08))


def _sheet(middle: NDArray[np.float64], thickness: float) -> Mesh:
    """A grid of points (m, k, 3) thickened to both sides along its normals."""
    normal = np.cross(np.gradient(middle, axis=0), np.gradient(middle, axis=1))
    offset = 0.5 * thickness * normal / np.linalg.norm(normal, axis=2, keepdims=True)
    return lofts.slab(middle + offset, middle - offset)


def rods(rng: np.random.Generator) -> Mesh:
    """Table, lattice box or random truss of thin round or square bars."""
    radius, kind = rng.uniform(0.03, 0.07), rng.integers(3)
    if kind == 0:
        half = rng.uniform(0.5, 0.9, 2)
        board = df.placed(df.box((*half, rng.uniform(0.03, 0.06))), (0, 0, 0.5))
        legs = [(sx * (half[0] - 0.1), sy * (half[1] - 0.1)) for sx in (-1, 1) for sy in (-1, 1)]
        bars = [df.rod((x, y, -0.6), (x * 0.95, y * 0.95, 0.5), radius) for x, y in legs]
        if rng.random() < 0.5:
            bars.append(df.placed(df.box((half[0], 0.04, 0.4)), (0, half[1] - 0.04, 0.9)))
        return _contoured(df.union(board, *bars), 0.06)
    if kind == 1:
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * rng.uniform(0.4, 0.9, 3)
        pairs = [(i, i ^ bit) for bit in (1, 2, 4) for i in range(8) if i < i ^ bit]
    else:
        corners = np.stack([_direction(rng) for _ in range(rng.integers(5, 10))]) * rng.uniform(0.5, 1, 3)
        gaps = np.linalg.norm(corners[:, None] - corners[None], axis=2) + 10 * np.eye(len(corners))
        pairs = sorted({(min(i, j), max(i, j)) for i in range(len(corners)) for j in map(int, gaps[i].argsort()[:3])})
    ends = np.array(pairs).T
    thick = np.full(len(pairs), radius)
    return _contoured(df.capsules(corners[ends[0]], corners[ends[1]], thick, thick, 0.1 * radius), 1.2 * radius, 34_000)


def tori(rng: np.random.Generator) -> Mesh:
    """Rings melted together: genus one and more."""
    count, thick = int(rng.integers(1, 5)), rng.uniform(0.1, 0.22)
    rings, at = [], np.zeros(3)
    for i in range(count):
        major = rng.uniform(0.35, 0.6)
        step = np.append(_direction(rng)[:2], 0) if rng.random() < 0.6 else _direction(rng)
        at = at + (i > 0) * 0.75 * step / np.linalg.norm(step)
        turn = np.eye(3) if rng.random() < 0.6 else _rotation(rng)
        rings.append(df.placed(df.torus(major, thick * rng.uniform(0.8, 1.2)), at, turn))
    centre = at / 2
    solid = df.smooth_union([df.placed(ring, -centre) for ring in rings], rng.uniform(0.03, 0.2))
    return _contoured(solid, 0.12)


def tubes(rng: np.random.Generator) -> Mesh:
    """A tube of varying radius along a torus knot or a random closed curve that keeps away from itself."""
    t = 2 * np.pi * np.arange(1200) / 1200
    radii = rng.uniform(0.08, 0.14) * np.exp(0.2 * np.clip(_harmonics(t, 3, 1, rng), -1.5, 1.5))
    if rng.random() < 0.4:
        p, q = [(2, 3), (3, 2), (2, 5), (3, 4)][rng.integers(4)]
        ring = 1 + 0.4 * np.cos(q * t)
        curve = unit_sphere(np.stack([ring * np.cos(p * t), ring * np.sin(p * t), 0.5 * np.sin(q * t)], axis=1))
    else:
        curve = np.zeros((len(t), 3))
        while _closest_approach(curve) < 2.1 * radii.max():
            curve = unit_sphere(np.stack([_harmonics(t, 4, 1.3, rng) for _ in range(3)], axis=1))
    return _contoured(df.tube(curve, radii), 0.1, 30_000)


def _closest_approach(curve: NDArray[np.float64]) -> float:
    """Least distance between points of a closed curve (m, 3) that are more than 0.5 apart along it; 0 if none are."""
    length = np.cumsum(np.linalg.norm(np.diff(curve, axis=0, append=curve[:1]), axis=1))
    points, along = curve[::5], length[::5]
    apart = np.abs(along[:, None] - along)
    apart = np.minimum(apart, length[-1] - apart)
    distances = np.linalg.norm(points[:, None] - points, axis=2)[apart > 0.5]
    return float(distances.min()) if len(distances) else 0.0


def profiles(rng: np.random.Generator) -> Mesh:
    """Gear, star, L, T, U, I and cross profiles, extruded straight, twisted or tapered; gears also with a bore."""
    kind = rng.integers(4)
    if kind == 0:
        return _gear(rng)
    outline = _star_profile(rng, int(rng.integers(4, 10))) if kind == 1 else _rolled_profile(rng)
    steps, twist = np.array([-1.0, 1.0]), 0.0
    if rng.random() < 0.5:
        steps, twist, outline = np.linspace(-1, 1, 33), rng.uniform(-0.8, 0.8), _refined(outline, 0.08)
    taper = 1 - rng.uniform(0, 0.5) * (rng.random() < 0.5) * 0.5 * (steps + 1)
    return lofts.extruded(outline, rng.uniform(0.2, 1.2) * steps, taper, twist * steps)


def _star_profile(rng: np.random.Generator, points: int) -> NDArray[np.float64]:
    """(2 points, 2) a star with sharp tips."""
    angles = np.pi * np.arange(2 * points) / points
    radii = np.where(np.arange(2 * points) % 2, rng.uniform(0.4, 0.85), 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _refined(outline: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """The same closed outline (m, 2) with its sides cut into equal pieces of at most `longest`."""
    pieces = []
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        count = int(np.ceil(np.linalg.norm(b - a) / longest))
        pieces.append(a + (np.arange(count) / count)[:, None] * (b - a))
    return np.concatenate(pieces)


def _rolled_profile(rng: np.random.Generator) -> NDArray[np.float64]:
    """(m, 2) the cross section of an L, T, U, I or cross beam of wall thickness t, counter-clockwise."""
    w, h, t = rng.uniform(0.5, 0.9), rng.uniform(0.6, 1), rng.uniform(0.1, 0.25)
    s, e, g = t / 2, h - t, w - t  # half the web, and the inner sides of the flanges
    i_right = [(-w, -h), (w, -h), (w, -e), (s, -e), (s, e), (w, e)]
    plus_right = [(-s, -h), (s, -h), (s, -s), (w, -s), (w, s), (s, s)]
    outlines = {
        "L": [(-w, -h), (w, -h), (w, -e), (-g, -e), (-g, h), (-w, h)],
        "T": [(-s, -h), (s, -h), (s, e), (w, e), (w, h), (-w, h), (-w, e), (-s, e)],
        "U": [(-w, -h), (w, -h), (w, h), (g, h), (g, -e), (-g, -e), (-g, h), (-w, h)],
        "I": i_right + [(-x, -y) for x, y in i_right],
        "+": plus_right + [(-x, -y) for x, y in plus_right],
    }
    return np.array(outlines[str(rng.choice(list(outlines)))])


def _gear(rng: np.random.Generator) -> Mesh:
    """A spur or helical gear with trapezoidal teeth and a bore."""
    teeth, root = int(rng.integers(8, 25)), rng.uniform(0.75, 0.88)
    fraction = np.array([0.0, 0.30, 0.42, 0.78, 0.90])  # gap floor, gap floor, tip, tip, back on the floor
    radii = np.tile([root, root, 1, 1, root], teeth)
    angles = (2 * np.pi * (np.arange(teeth)[:, None] + fraction) / teeth).ravel()
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    half, twist, bore = rng.uniform(0.1, 0.35), rng.uniform(-0.4, 0.4) * (rng.random() < 0.5), rng.uniform(0.2, 0.5)
    outer = [(radii, z) for z in np.linspace(-half, half, 9)]
    inner = [(np.full(len(angles), bore), z) for z in np.linspace(half, -half, 9)]
    rings = []
    for radius, z in outer + inner:
        c, s = np.cos(twist * z / half), np.sin(twist * z / half)
        flat = radius[:, None] * circle @ np.array([[c, s], [-s, c]])
        rings.append(np.column_stack([flat, np.full(len(flat), z)]))
    return lofts.loft(np.stack(rings), None)


def lathes(rng: np.random.Generator) -> Mesh:
    """Turned parts: vases with thin walls, spindles, stepped rings."""
    kind = rng.integers(3)
    if kind == 2:
        heights = np.repeat(np.linspace(-0.5, 0.5, int(rng.integers(3, 7))), 2)[1:-1] * rng.uniform(0.5, 1.5)
        outer = np.repeat(rng.uniform(0.7, 1, len(heights) // 2), 2)
        inner = rng.uniform(0.3, 0.6)
        profile = np.concatenate([np.stack([outer, heights], axis=1), [[inner, heights[-1]], [inner, heights[0]]]])
        return lofts.lathed(profile, 128, closed=True)
    z = np.linspace(0, 1, 60)
    swell = _harmonics(np.pi * z, 4, 1.2, rng)
    radius = 0.15 + 0.4 * (swell - swell.min()) / np.ptp(swell)
    outer = np.stack([radius, 2 * z - 1], axis=1)
    if kind == 0:
        return lofts.lathed(outer, 96, closed=False)
    wall = rng.uniform(0.03, 0.07)
    slope = np.gradient(radius, outer[:, 1])
    normal = np.stack([np.ones_like(slope), -slope], axis=1) / np.hypot(1, slope)[:, None]
    inner = (outer - wall * normal)[::-1]
    inner = inner[(inner[:, 1] > -1 + wall) & (inner[:, 0] > 0.02)]
    return lofts.lathed(np.concatenate([outer, inner]), 96, closed=False)


def blobs(rng: np.random.Generator) -> Mesh:
    """Gaussian blobs that melt into each other."""
    count = int(rng.integers(3, 12))
    centres = 0.45 * rng.standard_normal((count, 3)).clip(-1.4, 1.4)
    return _contoured(df.gaussian_blobs(centres, rng.uniform(0.2, 0.45, count), 1.0), 0.15)


def periodic(rng: np.random.Generator) -> Mesh:
    """A gyroid sheet or solid, cut by a ball, a box or a cylinder."""
    frequency = rng.uniform(3.5, 7)
    surface = df.placed(df.gyroid(frequency, rng.uniform(-0.5, 0.5)), rng.uniform(-1, 1, 3))
    wall = rng.uniform(0.05, 0.1)
    solid, detail = (df.thickened(surface, wall), 1.4 * wall) if rng.random() < 0.5 else (surface, 0.15)
    hull = (df.ball(1), df.box((0.8, 0.8, 0.8)), df.cylinder(0.7, 0.8))[rng.integers(3)]
    return _contoured(df.intersection(solid, hull), detail, 36_000)


def rough(rng: np.random.Generator) -> Mesh:
    """A ball, box, torus or ellipsoid with smooth noise on one or two scales: rock, relief, fruit."""
    body = (
        df.ball(0.8),
        df.superquadric(rng.uniform(0.5, 1, 3), rng.uniform(0.3, 1), rng.uniform(0.3, 1)),
        df.torus(0.65, 0.3),
        df.box(rng.uniform(0.4, 0.8, 3)),
    )[rng.integers(4)]
    layers = [_noise(rng, rng.uniform(3, 7), rng.uniform(0.03, 0.08))]
    if rng.random() < 0.6:
        layers.append(_noise(rng, rng.uniform(10, 20), rng.uniform(0.008, 0.02)))
    return _contoured(_sum(body, *layers), 0.12, 30_000)


def creatures(rng: np.random.Generator) -> Mesh:
    """A body with head, tapered limbs and sometimes horns or a tail, filleted, with a little surface relief."""
    neck = np.array([rng.uniform(0.6, 0.8), 0, rng.uniform(0.2, 0.6)])
    belly, chest = np.array([-0.5, 0, 0]), np.array([0.45, 0, rng.uniform(-0.05, 0.1)])
    limbs = [
        (belly, chest, rng.uniform(0.2, 0.34), rng.uniform(0.18, 0.3)),
        (chest, neck, 0.17, 0.11),
        (neck, neck + np.array([0.25, 0, -0.08]), 0.15, 0.09),
    ]
    reach, splay = rng.uniform(0.5, 0.8), rng.uniform(0, 0.15)
    for x in (-0.45, 0.4):
        for side in (-1, 1):
            hip = np.array([x, 0.14 * side, -0.05])
            knee = np.array([x + rng.uniform(-0.12, 0.12), (0.16 + splay) * side, -0.5 * reach])
            foot = knee + np.array([rng.uniform(-0.12, 0.12), splay * side, -0.5 * reach])
            limbs += [(hip, knee, 0.13, 0.085), (knee, foot, 0.085, 0.07)]
    for side in (-1, 1):
        tip = neck + np.array([rng.uniform(-0.2, 0.1), rng.uniform(0.1, 0.3) * side, rng.uniform(0.15, 0.4)])
        limbs.append((neck + np.array([0, 0.06 * side, 0.08]), tip, 0.06, 0.04))
    if rng.random() < 0.7:
        limbs.append((belly, np.array([-0.9, rng.uniform(-0.2, 0.2), rng.uniform(-0.3, 0.5)]), 0.1, 0.05))
    starts, ends, start_radii, end_radii = (np.array(column) for column in zip(*limbs, strict=True))
    relief = _noise(rng, rng.uniform(8, 16), rng.uniform(0.002, 0.008))
    return _contoured(_sum(df.capsules(starts, ends, start_radii, end_radii, 0.12), relief), 0.09, 30_000)


FAMILIES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    family.__name__: family
    for family in (
        csg,
        machined,
        superquadrics,
        polyhedra,
        plates,
        shells,
        rods,
        tori,
        tubes,
        profiles,
        lathes,
        blobs,
        periodic,
        rough,
        creatures,
    )
}
