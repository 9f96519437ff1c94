"""What the colours of points mean: an error, a displacement or an attribute, on one scale for all clouds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.cloud import Mesh, PointCloud
from pcdenoise.errors import InputError
from pcdenoise.geometry.neighbours import build_tree, query_tree
from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.normals import given_normals, plane_normals
from pcdenoise.geometry.triangles import point_to_mesh

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

Reference = PointCloud | Mesh
"""What a cloud should be: a clean cloud, or a surface."""

ERROR, DISPLACEMENT = "error", "displacement"
COLOUR_MAP = "viridis"  # equal steps look equal, in grey and to the colour-blind too
HIGHEST = 99  # percentile at which a scale of lengths ends


@dataclass(frozen=True, eq=False)
class Colouring:
    """Values of the points of some clouds, and the scale on which all of them are shown.

    Attributes:
        label: what the values are, with their unit.
        values: name of a cloud -> (n,) float64, NaN where a point has none. Clouds may be missing.
        low, high: ends of the colour bar; values beyond take the colours of the ends.
        is_length: whether the values are lengths in the unit of the clouds.
    """

    label: str
    values: dict[str, NDArray[np.float64]]
    low: float
    high: float
    is_length: bool = True

    @property
    def scale(self) -> "ScalarMappable":
        """The colour bar, for matplotlib."""
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        return ScalarMappable(Normalize(self.low, self.high), colormaps[COLOUR_MAP])

    def colours(self, name: str) -> NDArray[np.float64]:
        """(n, 3) in 0 to 1 for the points of a cloud; any for those without a value."""
        colours: NDArray[np.float64] = self.scale.to_rgba(
            np.clip(np.nan_to_num(self.values[name]), self.low, self.high)
        )[:, :3]
        return colours


def colouring(
    by: str,
    clouds: Mapping[str, PointCloud],
    reference: Reference | None = None,
    unit: str = "file units",
    limits: tuple[float, float] | None = None,
) -> Colouring:
    """Colours by error, by displacement or by an attribute.

    Args:
        by: `error`, the distance to the reference (see `distances`); `displacement`, how far row i lies from row i of
            the first cloud; or the name of an attribute, of which vectors are shown by their length.
        clouds: name -> cloud.
        reference: for `error`.
        unit: what the coordinates count, for the label.
        limits: ends of the colour bar; by default 0 and the 99th percentile of all values for lengths, the 1st and the
            99th for attributes.

    Raises:
        InputError: no reference, no second cloud, unequal counts, an attribute that a cloud does not have or that holds
            no numbers.
    """
    if by == ERROR:
        if reference is None:
            raise InputError("there is nothing to take the error to; give the true cloud or mesh: --reference FILE")
        label = f"distance to the reference, {unit}"
        values = {name: distances(cloud.points, reference) for name, cloud in clouds.items()}
    elif by == DISPLACEMENT:
        label = f"distance to where the point was, {unit}"
        values = _displacements(clouds)
    else:
        label = by
        values = {name: _attribute(by, name, cloud) for name, cloud in clouds.items()}
    is_length = by in (ERROR, DISPLACEMENT)
    low, high = limits or _limits(list(values.values()), from_zero=is_length)
    return Colouring(label, values, low, high if high > low else low + 1.0, is_length)


def distances(points: NDArray[Any], reference: Reference) -> NDArray[np.float64]:
    """How far points lie off a surface.

    Of a mesh, the distance to its nearest point. Of a clean cloud, the distance to the surfel of its nearest point `y`,
    a disc in the tangent plane whose radius is the cloud's spacing `s`, so that the gaps between clean points are no
    error, while what lies beside the surface has one:

        d = sqrt( n^2 + max(0, t - s)^2 ),    n = (x - y) . N(y),    t^2 = |x - y|^2 - n^2

    Source of the term: Pfister et al., Surfels: surface elements as rendering primitives (SIGGRAPH 2000).

    Args:
        points: (n, 3).
        reference: vertices (v, 3) and faces (f, 3), or a cloud, whose attribute `normals` is taken where it has one.

    Returns:
        (n,) in the unit of the points, NaN for rows that are not finite.

    Raises:
        InputError: the reference has no finite point, or no faces.
    """
    points = np.asarray(points, dtype=np.float64)
    finite = np.isfinite(points).all(axis=1)
    found = np.full(len(points), np.nan)
    if isinstance(reference, tuple):
        found[finite] = np.sqrt(point_to_mesh(points[finite], *reference).squared)
        return found
    rows = np.flatnonzero(reference.finite)
    if len(rows) == 0:
        raise InputError("the reference has no finite point; check how it was exported")
    clean = reference.points[rows]
    normals = given_normals(reference, rows)
    if normals is None:
        normals = plane_normals(clean)
    lengths, nearest = query_tree(build_tree(clean), points[finite], 1)
    away = points[finite] - clean[nearest[:, 0]]
    off = np.einsum("ni,ni->n", away, normals[nearest[:, 0]])
    beside = np.sqrt(np.maximum(lengths[:, 0] ** 2 - off**2, 0.0))
    found[finite] = np.hypot(off, np.maximum(beside - spacing(clean), 0.0))
    return found


def colourings(clouds: Mapping[str, PointCloud], reference: Reference | None) -> list[str]:
    """What these clouds can be coloured by, the most telling first."""
    first, *others = clouds.values()
    possible = [ERROR] if reference is not None else []
    if others and all(len(cloud) == len(first) for cloud in others):
        possible.append(DISPLACEMENT)
    shared = [name for name in first.attributes if all(name in cloud.attributes for cloud in others)]
    return possible + [n for n in shared if n not in ("colors", "normals") and first.attributes[n].dtype.kind in "buif"]


def _displacements(clouds: Mapping[str, PointCloud]) -> dict[str, NDArray[np.float64]]:
    (first, before), *others = clouds.items()
    if not others:
        raise InputError("a displacement is between two clouds; name the one before and the one after")
    for name, cloud in others:
        if len(cloud) != len(before):
            raise InputError(
                f"{first} has {len(before):,} points and {name} has {len(cloud):,}, so that row i is not the same "
                "point; give clouds of which no row was dropped, added or sorted"
            )
    return {name: np.linalg.norm(cloud.points - before.points, axis=1) for name, cloud in others}


def _attribute(wanted: str, name: str, cloud: PointCloud) -> NDArray[np.float64]:
    if wanted not in cloud.attributes:
        having = ", ".join(cloud.attributes) or "none"
        raise InputError(
            f"{name} has no attribute {wanted!r}; it has {having} (besides, there are error, displacement)"
        )
    values = cloud.attributes[wanted]
    if values.dtype.kind not in "buif":
        raise InputError(f"the attribute {wanted!r} of {name} holds no numbers; choose another")
    flat = values.reshape(len(values), -1).astype(np.float64)
    return flat[:, 0] if flat.shape[1] == 1 else np.asarray(np.linalg.norm(flat, axis=1))


def _limits(values: list[NDArray[np.float64]], *, from_zero: bool) -> tuple[float, float]:
    known = np.concatenate(values)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return 0.0, 1.0
    low, high = np.percentile(known, [100 - HIGHEST, HIGHEST])
    return 0.0 if from_zero else float(low), float(high)
