"""The neighbourhood operation of linear-first EdgeConv, fused: gather, add the edge term, take the maximum.

    out[i, c] = max_j  h[idx[i, j], c] + sum_e edges[i, j, e] * weight[e, c]

Because the linear maps act before the maximum and SiLU-like activations after it, an EdgeConv layer costs two GEMMs per
point and one pass of this kernel over the edges, instead of an MLP per edge (Wang et al., "Dynamic Graph CNN", 2019).
In the backward pass only the arg-max edge of each channel receives gradient. The backward pass can itself be
differentiated once, which is what an energy needs that is trained through its gradient.
"""

import importlib.util
from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from pcdenoise.kernels import gather_max_numba


class Passes(Protocol):
    """The passes over the edges that a device offers. Each gives the same bits on every run.

    Shapes: h (m, C), idx (n, k) int32, edges (n, k, 4), weight (4, C), arg (n, C) int8, g and out (n, C), contiguous.
    """

    def maximum(self, h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        """The maximum alone (n, C)."""
        ...

    def maximum_and_argument(self, h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The maximum (n, C) and the first neighbour that has it."""
        ...

    def scatter_to_rows(self, g: Tensor, idx: Tensor, arg: Tensor, rows: int) -> Tensor:
        """(rows, C): `out[idx[i, arg[i, c]], c] += g[i, c]`."""
        ...

    def sum_over_channels(self, g: Tensor, weight: Tensor, arg: Tensor, k: int) -> Tensor:
        """(n, k, 4): `out[i, arg[i, c], e] += g[i, c] * weight[e, c]`."""
        ...

    def sum_over_points(self, g: Tensor, edges: Tensor, arg: Tensor) -> Tensor:
        """(4, C): `out[e, c] += g[i, c] * edges[i, arg[i, c], e]`."""
        ...

    def add_rows(self, out: Tensor, h: Tensor, idx: Tensor, arg: Tensor) -> None:
        """`out[i, c] += h[idx[i, arg[i, c]], c]`."""
        ...

    def add_edge_terms(self, out: Tensor, edges: Tensor, weight: Tensor, arg: Tensor) -> None:
        """`out[i, c] += sum_e edges[i, arg[i, c], e] * weight[e, c]`."""
        ...


def gather_max(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """Fused gather-max: numba on the CPU, Triton on CUDA where it is installed, plain torch elsewhere.

    Args:
        h: (m, C) features of the points that are gathered, float32 or float64.
        idx: (n, k) int32 rows of `h`, k at most 127.
        edges: (n, k, 4) edge features, same dtype as `h`.
        weight: (4, C).

    Returns:
        (n, C). Twice differentiable in `h`, `edges` and `weight`; of equal maxima the first neighbour counts.
    """
    if h.device.type == "cpu":
        return gather_max_by(gather_max_numba, h, idx, edges, weight)
    passes = _triton_passes() if h.is_cuda else None
    if passes is None:
        return gather_max_reference(h, idx, edges, weight)
    return gather_max_by(passes, h, idx, edges, weight)


def gather_max_by(passes: Passes, h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """`gather_max` by the given passes."""
    # made contiguous out here, where autograd sees it
    return _GatherMax.apply(  # type: ignore[no-any-return, no-untyped-call]
        passes, h.contiguous(), idx.contiguous(), edges.contiguous(), weight.contiguous()
    )


def gather_max_reference(h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
    """The definition in plain torch, on any device: n * k * C values pass through memory."""
    return (h[idx.long()] + edges @ weight).max(dim=1).values


@cache
def _triton_passes() -> Passes | None:
    if importlib.util.find_spec("triton") is None:
        return None
    from pcdenoise.kernels import gather_max_triton

    return cast(Passes, gather_max_triton)


class _GatherMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, passes: Passes, h: Tensor, idx: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        if not any(ctx.needs_input_grad):
            return passes.maximum(h, idx, edges, weight)
        out, arg = passes.maximum_and_argument(h, idx, edges, weight)
        ctx.save_for_backward(idx, edges, weight, arg)
        ctx.passes, ctx.rows = passes, h.shape[0]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        idx, edges, weight, arg = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[i] for i in (1, 3, 4)]
        grad_h, grad_edges, grad_weight = _Backward.apply(  # type: ignore[no-untyped-call]
            gradient.contiguous(), edges, weight, idx, arg, ctx.passes, ctx.rows, wanted
        )
        return None, grad_h, None, grad_edges, grad_weight


class _Backward(torch.autograd.Function):
    """Linear in the incoming gradient `g`. With `a = arg[i, c]` the arg-max edge, summed over all `(i, c)`:

    grad_h[idx[i, a], c] += g[i, c]
    grad_edges[i, a, e] += g[i, c] * weight[e, c]
    grad_weight[e, c] += g[i, c] * edges[i, a, e]
    """

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        edges: Tensor,
        weight: Tensor,
        idx: Tensor,
        arg: Tensor,
        passes: Passes,
        rows: int,
        wanted: list[bool],
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(g, edges, weight, idx, arg)
        ctx.set_materialize_grads(False)
        ctx.passes = passes
        return (
            passes.scatter_to_rows(g, idx, arg, rows) if wanted[0] else None,
            passes.sum_over_channels(g, weight, arg, idx.shape[1]) if wanted[1] else None,
            passes.sum_over_points(g, edges, arg) if wanted[2] else None,
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, on_h: Tensor | None, on_edges: Tensor | None, on_weight: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        g, edges, weight, idx, arg = ctx.saved_tensors
        passes: Passes = ctx.passes
        grad_g = grad_edges = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_g = torch.zeros_like(g)
            if on_h is not None:
                passes.add_rows(grad_g, on_h.contiguous(), idx, arg)
            if on_edges is not None:
                passes.add_edge_terms(grad_g, on_edges.contiguous(), weight, arg)
            if on_weight is not None:
                passes.add_edge_terms(grad_g, edges, on_weight.contiguous(), arg)
        if ctx.needs_input_grad[1] and on_weight is not None:
            grad_edges = passes.sum_over_channels(g, on_weight.contiguous(), arg, idx.shape[1])
        if ctx.needs_input_grad[2] and on_edges is not None:
            grad_weight = passes.sum_over_points(g, on_edges.contiguous(), arg)
        return grad_g, grad_edges, grad_weight, None, None, None, None, None
