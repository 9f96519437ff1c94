"""Time the fused gather-max, and a fused EdgeConv block, against torch: 10,000 points, k = 32, 64 channels, in one run.

python tools/bench_gather_max.py
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.gather_max import gather_max, gather_max_reference
from pcdenoise.networks import edgeconv
from pcdenoise.networks.edgeconv import EdgeConvBlock

POINTS, NEIGHBOURS, CHANNELS, REPEATS = 10_000, 32, 64, 15


def milliseconds(call: Callable[[], object]) -> float:
    """Median time of a call, after one to warm up."""
    call()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times))


def main() -> None:
    """Measure and print."""
    points = np.random.default_rng(0).random((POINTS, 3)) * [1, 1, 0]
    idx = torch.from_numpy(knn(points, NEIGHBOURS)[1])
    torch.manual_seed(0)
    h = torch.randn(POINTS, CHANNELS, requires_grad=True)
    edges = torch.randn(POINTS, NEIGHBOURS, 4)
    weight = torch.randn(4, CHANNELS, requires_grad=True)
    upstream = torch.randn(POINTS, CHANNELS)

    def forward(operator: Callable[..., Tensor]) -> None:
        with torch.no_grad():
            operator(h, idx, edges, weight)

    def both(operator: Callable[..., Tensor]) -> None:
        torch.autograd.grad(operator(h, idx, edges, weight), (h, weight), upstream)

    moving, outer = edges.clone().requires_grad_(), upstream.clone().requires_grad_()

    def twice(operator: Callable[..., Tensor]) -> None:
        out = operator(h, idx, moving, weight)
        first = torch.autograd.grad(out, (h, moving), outer, create_graph=True)
        torch.autograd.grad(first, (outer, weight), (h, moving))

    table = Table(
        title=f"{POINTS:,} points, k = {NEIGHBOURS}, {CHANNELS} channels, {torch.get_num_threads()} threads, ms"
    )
    for title in ("", "eager torch", "fused", "ratio"):
        table.add_column(title, justify="right" if title else "left")
    for name, run in (("forward", forward), ("forward and backward", both), ("and double backward", twice)):
        eager, fused = (milliseconds(partial(run, operator)) for operator in (gather_max_reference, gather_max))
        table.add_row(name, f"{eager:.1f}", f"{fused:.1f}", f"{eager / fused:.1f} x")
    for name, operator in (
        ("block, without gradients", gather_max_reference),
        ("block, its gather-max fused", gather_max),
    ):
        layer = EdgeConvBlock(CHANNELS)
        with torch.no_grad(), patch.multiple(edgeconv, fused=lambda *asked: False, gather_max=operator):
            apart = milliseconds(partial(layer, h, idx, edges, h[:, :0]))
        with torch.no_grad():
            fused = milliseconds(partial(layer, h, idx, edges, h[:, :0]))
        table.add_row(name, f"{apart:.1f}", f"{fused:.1f}", f"{apart / fused:.1f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
