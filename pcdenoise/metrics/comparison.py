"""A result beside the truth, and what several metrics ask of the pair, each computed once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdenoise.errors import InputError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.neighbours import knn
from pcdenoise.metrics.point_to_mesh import FAMILY_B, PointToMeshDistance, point_to_mesh_distance
from pcdenoise.metrics.reference import CloudSurface, MeshSurface, Nearest, Regions


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a metric is computed from.

    Lengths that come out of it are in units of a radius R, that of `Frame.unit_sphere`: of the clean cloud where clouds
    are compared, of the mesh's vertices where the mesh is the reference.

    Attributes:
        result: (n, 3), at least one point, finite, in any unit.
        clean: (m, 3) points of the surface in the same unit, at least two different ones, finite. Any number.
        mesh: vertices (v, 3) and faces (f, 3) of the surface, in the same unit. It may be open.
        noisy: (n, 3) where the points were before: row i became row i of the result.
        normals: (m, 3) of the clean cloud, of any length, all pointing to the same side of the surface.

    Raises:
        InputError: a cloud is empty or not finite, the clean one has no extent, or noisy and result differ in count.
    """

    result: NDArray[Any]
    clean: NDArray[Any]
    mesh: tuple[NDArray[Any], NDArray[Any]] | None = None
    noisy: NDArray[Any] | None = None
    normals: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        clouds = {"result": self.result, "clean cloud": self.clean}
        for name, cloud in (clouds if self.noisy is None else {**clouds, "noisy cloud": self.noisy}).items():
            if len(cloud) == 0 or not np.isfinite(cloud).all():
                raise InputError(f"the {name} is empty or holds NaN or infinity; give finite points only")
        if self.noisy is not None and len(self.noisy) != len(self.result):
            raise InputError(
                f"the result has {len(self.result):,} points, the noisy cloud {len(self.noisy):,}; "
                "row i of one belongs to row i of the other, so leave the noisy one out"
            )

    @cached_property
    def frame(self) -> Frame:
        """The unit-sphere frame of the clean cloud."""
        return Frame.unit_sphere(self.clean)

    @cached_property
    def to_clean(self) -> NDArray[np.float64]:
        """(n,) distance from each point of the result to the nearest clean one, in R."""
        return np.asarray(knn(self.frame.to_local(self.clean), 1, self.frame.to_local(self.result))[0][:, 0])

    @cached_property
    def to_result(self) -> NDArray[np.float64]:
        """(m,) distance from each clean point to the nearest one of the result, in R."""
        return np.asarray(knn(self.frame.to_local(self.result), 1, self.frame.to_local(self.clean))[0][:, 0])

    @cached_property
    def family_a(self) -> PointToMeshDistance:
        """Squared distances to whole triangles and back, in R^2 of the mesh."""
        return point_to_mesh_distance(self.result, *self._mesh)

    @cached_property
    def family_b(self) -> PointToMeshDistance:
        """The same, with small triangles for their edges."""
        return point_to_mesh_distance(self.result, *self._mesh, min_triangle_area=FAMILY_B)

    @cached_property
    def surface(self) -> MeshSurface | CloudSurface:
        """The reference surface: the mesh where there is one, the clean cloud's tangent planes otherwise."""
        return CloudSurface(self.clean, self.normals) if self.mesh is None else MeshSurface(*self.mesh)

    @cached_property
    def nearest(self) -> Nearest:
        """Where the reference surface is nearest to each point of the result."""
        return self.surface.nearest(self.result)

    @cached_property
    def nearest_to_noisy(self) -> Nearest:
        """Where it is nearest to each noisy point."""
        assert self.noisy is not None
        return self.surface.nearest(self.noisy)

    @cached_property
    def regions(self) -> Regions:
        """Which points of the result are near sharp edges, on thin parts or in smooth areas of the mesh."""
        assert isinstance(self.surface, MeshSurface)
        return self.surface.regions(self.nearest)

    @cached_property
    def displacement(self) -> NDArray[np.float64]:
        """(n, 3) from each noisy point to where the result has it, in R."""
        assert self.noisy is not None
        moved: NDArray[np.float64] = (np.asarray(self.result, np.float64) - self.noisy) / self.frame.scale
        return moved

    @property
    def offers(self) -> frozenset[str]:
        """What a metric may need: of `mesh`, `noisy` and `orientation`, that which is there."""
        there = {"mesh": self.mesh is not None, "noisy": self.noisy is not None, "orientation": self.surface.oriented}
        return frozenset(name for name, given in there.items() if given)

    @property
    def _mesh(self) -> tuple[NDArray[Any], NDArray[Any]]:
        assert self.mesh is not None
        return self.mesh
