"""How far each layer of the whole-cloud network, and the search around it, is from what the machine can do.

    python tools/measure_roofline.py [--model auto] [--points 10000 100000 1000000] [--device cpu] [--json FILE]

First three ceilings are measured: the bandwidth B of a large copy, the bandwidth G of gathering rows of a table that
stays in the cache, and the speed F of a large product of float32 matrices. Then every layer runs alone on a noisy
sphere. It moves at least `traffic` bytes, gathers `gathered` bytes and does `flops` operations, so it takes at least

    t_least = max(traffic / B, gathered / G, flops / F),      share of the roofline = t_least / t

(Williams, Waterman and Patterson, "Roofline", 2009, with the gather as a third roof). A share above 1 is no mistake:
the values of a small cloud stay in the cache, whose bandwidth is not B. Operations of searches, sorts, medians, norms
and activations are not counted. The cloud is one graph, without tiles and their halos; layers of the network run on
the device, the search, the graph and the even spreading on the CPU.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.bench.environment import environment
from pcdenoise.denoisers.models import load_model
from pcdenoise.errors import PcdenoiseError, UsageError
from pcdenoise.geometry.neighbour_search import NeighbourSearch
from pcdenoise.io.files import check_place, replacing
from pcdenoise.kernels.array_graph import EDGE_FEATURES, MOMENTS, SPACING_NEIGHBOUR, local_spacing
from pcdenoise.kernels.gather_max import gather_max
from pcdenoise.kernels.neighbourhood import NeighbourGraph, build_graph
from pcdenoise.networks.denoiser import DenoisingStage, StagedDenoiser
from pcdenoise.networks.edgeconv import ROWS_IN_CACHE, EdgeConvBlock, by_pieces, fused
from pcdenoise.networks.embedding import sigma_embedding
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at
from pcdenoise.relaxation import RELAXATION_NEIGHBOURS, relax_tangentially

FLOAT, DOUBLE, INDEX = 4, 8, 4  # bytes
POSITION = 3 * DOUBLE
EDGE_FLOPS = 27  # offset and division 6, length 6, sums of first and second moments 15
MOMENT_FLOPS = 22
COPIED = 1 << 28  # bytes
GATHERING_ROWS = 1 << 15
REPEATS = 3


@dataclass(frozen=True)
class Layer:
    """A piece of work and the least that it must do.

    Attributes:
        name: of the layer.
        run: does it.
        flops: additions, multiplications and comparisons.
        traffic: bytes read and written at least once, weights included.
        gathered: bytes of the rows that are taken by index, each as often as it is taken.
    """

    name: str
    run: Callable[[], object]
    flops: int
    traffic: int
    gathered: int = 0


@dataclass(frozen=True)
class Ceilings:
    """What the machine can do: bytes a second of a large copy (read and written) and of a gather from the cache;
    float32 operations a second of a product of 2048 x 2048 matrices and, to compare, of the network's own shapes.
    """

    copy: float
    gather: float
    product: float
    narrow_product: float

    def least_seconds(self, layer: Layer) -> tuple[float, str]:
        """The time that a layer takes at least, and what sets it."""
        return max(
            (layer.traffic / self.copy, "copy"),
            (layer.gathered / self.gather, "gather"),
            (layer.flops / self.product, "product"),
        )


@dataclass(frozen=True)
class Measured:
    """A layer's time beside its bounds."""

    layer: str
    seconds: float
    traffic: int
    gathered: int
    flops: int
    limit: str
    share: float


Stopwatch = Callable[[Callable[[], object]], float]


def stopwatch(device: torch.device, clock: Callable[[], float]) -> Stopwatch:
    """Measures the least time of three calls, after one to warm up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def seconds(run: Callable[[], object]) -> float:
        times = []
        for _ in range(REPEATS + 1):
            wait()
            started = clock()
            run()
            wait()
            times.append(clock() - started)
        return min(times[1:])

    return seconds


def measure_ceilings(channels: int, neighbours: int, device: torch.device, seconds: Stopwatch) -> Ceilings:
    """The ceilings for a network of some width and number of neighbours."""
    source = torch.ones(COPIED // FLOAT, device=device)
    target = torch.zeros_like(source)
    copy = 2 * COPIED / seconds(lambda: target.copy_(source))
    table = torch.randn(ROWS_IN_CACHE, channels, device=device)
    idx = torch.randint(ROWS_IN_CACHE, (GATHERING_ROWS, neighbours), dtype=torch.int32, device=device)
    gather = idx.numel() * channels * FLOAT / seconds(lambda: F.embedding_bag(idx, table, mode="sum"))
    large, square = torch.randn(2048, 2048, device=device), torch.randn(channels, channels, device=device)
    product = 2 * 2048**3 / seconds(lambda: large @ large)
    parts = GATHERING_ROWS // ROWS_IN_CACHE
    narrow = 2 * GATHERING_ROWS * channels**2 / seconds(lambda: [table @ square for _ in range(parts)])
    return Ceilings(copy, gather, product, narrow)


def stage_layers(
    stage: DenoisingStage, graph: NeighbourGraph, relative: Tensor, received: Tensor | None
) -> list[Layer]:
    """The layers of a stage on a whole cloud, see `DenoisingStage`.

    The blocks are given the same input, for it takes as long as their own.
    """
    features = stage.features
    n, c, width = len(graph.idx), features.channels, features.embedding
    given = relative.new_empty(n, 0) if received is None else received
    noise = sigma_embedding(relative, width)
    moments = graph.moments.flatten(1)
    told = 0 if features.noise is None else width

    def embedded(moments: Tensor, noise: Tensor) -> Tensor:
        inputs: Tensor = features.moments(moments)
        return inputs if features.noise is None else inputs + features.noise(noise)

    def shape(edges: Tensor) -> Tensor:
        itself = torch.zeros(edges.shape[:2], dtype=torch.int32, device=edges.device)
        return gather_max(edges.new_zeros(1, c), itself, edges, features.edge)

    def mixed(inputs: Tensor, shape: Tensor, received: Tensor) -> Tensor:
        return features.mix(F.silu(torch.cat([inputs, shape, received], dim=1)))  # type: ignore[no-any-return]

    inputs, shapes = by_pieces(embedded, moments, noise), by_pieces(shape, graph.edges)
    x = by_pieces(mixed, inputs, shapes, given)
    into = [module for module in (features.moments, features.noise) if module is not None]
    if fused((c, given.shape[1]), x, features.mix.weight):
        edges = gather_layer("", lambda: None, graph, c, table=0)
        layers = [
            Layer(
                "input",
                lambda: features.inputs(noise, graph.moments, graph.edges, given),
                product_flops(n, *into, features.mix) + edges.flops,
                edges.traffic + FLOAT * n * (moments.shape[1] + told + given.shape[1]) + bytes_of(*into, features.mix),
            )
        ]
    else:
        layers = [
            Layer(
                "input: moments",
                partial(by_pieces, embedded, moments, noise),
                product_flops(n, *into),
                FLOAT * n * (moments.shape[1] + told + c) + bytes_of(*into),
            ),
            gather_layer("input: gather-max", partial(by_pieces, shape, graph.edges), graph, c, table=1),
            Layer(
                "input: mix",
                partial(by_pieces, mixed, inputs, shapes, given),
                product_flops(n, features.mix),
                FLOAT * n * (2 * c + given.shape[1] + c) + bytes_of(features.mix),
            ),
        ]
    for b, block in enumerate(features.blocks, 1):
        assert isinstance(block, EdgeConvBlock)
        if block.film is None and fused(block.expand.weight.shape, x, block.expand.weight):
            layers.append(fused_block_layer(f"block {b}", block, graph, x, noise))
        else:
            layers += block_layers(f"block {b}", block, graph, x, noise)
    return [*layers, *result_layers(stage, graph, relative, x)]


def result_layers(stage: DenoisingStage, graph: NeighbourGraph, relative: Tensor, x: Tensor) -> list[Layer]:
    """The layers behind the blocks of a stage."""
    (n, c), features = x.shape, stage.features
    moments = MOMENTS * features.scales
    result = stage.hidden, stage.head, stage.hand_on
    return [
        Layer("norm", partial(by_pieces, features.norm, x), 0, 2 * FLOAT * n * c + bytes_of(features.norm)),
        Layer(
            "head",
            partial(stage.answer, features.norm(x), relative, graph),
            product_flops(n, *result) + 2 * n * moments,
            FLOAT * n * (c + 2 + moments + 3 + stage.hand_on.out_features) + bytes_of(*result),
        ),
    ]


def fused_block_layer(name: str, block: EdgeConvBlock, graph: NeighbourGraph, x: Tensor, noise: Tensor) -> Layer:
    """An EdgeConv block in one: x is read twice, the table that is gathered from written and read."""
    (n, c), products = x.shape, (block.neighbour, block.centre, block.out, block.expand, block.reduce)
    edges = gather_layer("", lambda: None, graph, c, table=n)
    return Layer(
        name,
        partial(block, x, graph.idx, graph.edges, noise),
        product_flops(n, *products) + edges.flops,
        edges.traffic + FLOAT * n * 3 * c + bytes_of(*products, block.norm, block.mlp_norm),
        edges.gathered,
    )


def block_layers(name: str, block: EdgeConvBlock, graph: NeighbourGraph, x: Tensor, noise: Tensor) -> list[Layer]:
    """The layers of an EdgeConv block."""
    n, c = x.shape
    given = 0 if block.film is None else noise.shape[1]
    norm = [module for module in (block.norm, block.film) if module is not None]

    def neighbour(x: Tensor, noise: Tensor) -> Tensor:
        return block.neighbour(block._normed(x, noise))  # type: ignore[no-any-return]

    def update(x: Tensor, noise: Tensor, gathered: Tensor) -> Tensor:
        return x + block.out(F.silu(block.centre(block._normed(x, noise)) + gathered))  # type: ignore[no-any-return]

    def mlp(x: Tensor) -> Tensor:
        return x + block.reduce(F.silu(block.expand(block.mlp_norm(x))))  # type: ignore[no-any-return]

    h = by_pieces(neighbour, x, noise)

    def gathered(idx: Tensor, edges: Tensor) -> Tensor:
        return gather_max(h, idx, edges, block.edge)

    maxima = by_pieces(gathered, graph.idx, graph.edges)
    return [
        Layer(
            f"{name}: norm, neighbour",
            partial(by_pieces, neighbour, x, noise),
            product_flops(n, block.neighbour, block.film),
            FLOAT * n * (2 * c + given) + bytes_of(block.neighbour, *norm),
        ),
        gather_layer(f"{name}: gather-max", partial(by_pieces, gathered, graph.idx, graph.edges), graph, c, table=n),
        Layer(
            f"{name}: centre, out",
            partial(by_pieces, update, x, noise, maxima),
            product_flops(n, block.centre, block.out, block.film),
            FLOAT * n * (3 * c + given) + bytes_of(block.centre, block.out, *norm),
        ),
        Layer(
            f"{name}: MLP",
            partial(by_pieces, mlp, x),
            product_flops(n, block.expand, block.reduce),
            FLOAT * n * 2 * c + bytes_of(block.mlp_norm, block.expand, block.reduce),
        ),
    ]


def gather_layer(name: str, run: Callable[[], object], graph: NeighbourGraph, channels: int, table: int) -> Layer:
    """A gather-max from a table of so many rows: for each edge and channel four multiply-adds and a comparison."""
    edges, n = graph.idx.numel(), len(graph.idx)
    read = table * channels + EDGE_FEATURES * (edges + channels)
    return Layer(
        name,
        run,
        (2 * EDGE_FEATURES + 1) * edges * channels,
        FLOAT * (read + n * channels) + INDEX * edges,
        FLOAT * edges * channels,
    )


def product_flops(rows: int, *modules: nn.Module | None) -> int:
    """Of linear layers: two for each weight and row."""
    return sum(2 * rows * m.in_features * m.out_features for m in modules if isinstance(m, nn.Linear))


def bytes_of(*modules: nn.Module) -> int:
    """Of their weights."""
    return sum(FLOAT * parameter.numel() for module in modules for parameter in module.parameters())


def cloud_layers(points: NDArray[np.float64], features: EdgeConvFeatures) -> list[Layer]:
    """What is done for each cloud outside the network."""
    n, k, t = len(points), features.neighbours, RELAXATION_NEIGHBOURS
    sizes = (n,) * features.layers

    def search(k: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        tree = NeighbourSearch(points)
        return tree(tree.order, k)

    search_tree = NeighbourSearch(points)
    distances, idx = search_tree(np.arange(n), k)
    reach = distances[:, SPACING_NEIGHBOUR - 1]
    unit = local_spacing(reach, idx)
    found = n * k * (DOUBLE + INDEX)
    moments = MOMENTS * len(features.neighbourhoods)
    spread_found = n * t * (DOUBLE + INDEX)
    spread = (
        spread_found
        + n * (POSITION + DOUBLE)  # the limit
        + 3 * (n * 4 * POSITION + 2 * n * DOUBLE)  # positions, start, normals; result; support
    )
    return [
        Layer("k-NN search", partial(search, k), 0, n * POSITION + found),
        Layer(
            "graph: local spacing",
            partial(local_spacing, reach, idx),
            0,
            n * 2 * DOUBLE + n * k * INDEX,
            n * k * DOUBLE,
        ),
        Layer(
            "graph: edges, moments",
            partial(build_graph, points, idx, unit, features.neighbourhoods, sizes),
            n * (EDGE_FLOPS * k + MOMENT_FLOPS * len(features.neighbourhoods) + 1),
            n * (POSITION + DOUBLE + k * INDEX + FLOAT * (EDGE_FEATURES * k + moments)),
            n * k * POSITION,
        ),
        Layer("even spreading: one search", partial(search, t), 0, n * POSITION + spread_found),
        Layer(
            "even spreading",
            partial(relax_tangentially, points, 0.5 * unit),
            0,
            spread,
            n * POSITION * (3 * t + SPACING_NEIGHBOUR) + 3 * n * t * DOUBLE,
        ),
    ]


def noisy_sphere(n: int) -> NDArray[np.float64]:
    """Fibonacci sphere of n points at unit spacing with noise of one spacing, near rows near in space."""
    i = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / n), np.pi * (1 + 5**0.5) * i
    ball = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    points = ball * np.sqrt(n / (4 * np.pi)) + np.random.default_rng(0).standard_normal((n, 3))
    ordered: NDArray[np.float64] = points[NeighbourSearch(points).order]
    return ordered


def measure(layers: list[Layer], ceilings: Ceilings, seconds: Stopwatch) -> list[Measured]:
    """Run the layers."""
    rows = []
    for layer in layers:
        taken = seconds(layer.run)
        least, limit = ceilings.least_seconds(layer)
        rows.append(Measured(layer.name, taken, layer.traffic, layer.gathered, layer.flops, limit, least / taken))
    return rows


def measure_cloud(
    network: StagedDenoiser, n: int, device: torch.device, ceilings: Ceilings, seconds: Stopwatch
) -> dict[str, list[Measured]]:
    """Every layer of a pass over a cloud of n points: title -> its layers, and the time of each stage at once."""
    points = noisy_sphere(n)
    first = network.stages[0]
    assert isinstance(first, DenoisingStage)
    measured = {"around the network": measure(cloud_layers(points, first.features), ceilings, seconds)}
    cloud = torch.from_numpy(points).to(device)
    sigma = torch.ones(n, 1, device=device)
    received: Tensor | None = None
    for p, stage in enumerate(network.stages, 1):
        assert isinstance(stage, DenoisingStage)
        graph = graph_at(cloud, stage.features, cloud)
        layers = stage_layers(stage, graph, sigma / graph.spacing, received)
        total = Layer(
            "stage at once",
            partial(stage, graph, sigma, received),
            sum(layer.flops for layer in layers),
            sum(layer.traffic for layer in layers),
            sum(layer.gathered for layer in layers),
        )
        measured[f"stage {p}"] = measure([*layers, total], ceilings, seconds)
        received = torch.zeros(n, stage.hand_on.out_features, device=device)
    return measured


def table_of(title: str, rows: list[Measured]) -> Table:
    """The rows as a table."""
    table = Table(title=title)
    for name in ("layer", "ms", "traffic, MB", "gathered, MB", "GFlop", "limit", "share of roofline"):
        table.add_column(name, justify="left" if name in ("layer", "limit") else "right")
    for row in rows:
        sizes = f"{row.traffic / 1e6:.1f}", f"{row.gathered / 1e6:.1f}", f"{row.flops / 1e9:.2f}"
        table.add_row(row.layer, f"{1e3 * row.seconds:.2f}", *sizes, row.limit, f"{100 * row.share:.0f} %")
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="auto", help="of staged EdgeConv: a name or a .safetensors file")
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cpu-time", action="store_true", help="count seconds of all cores, for a busy machine")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number")
    options = parser.parse_args()
    console = Console()
    try:
        if options.json is not None:
            check_place(options.json, overwrite=True)
        report = run(options.model, options.points, options.device, cpu_time=options.cpu_time, console=console)
        if options.json is not None:
            with replacing(options.json) as temporary:
                temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except PcdenoiseError as error:
        sys.exit(f"{Path(__file__).name}: {error}")


def run(model: str, sizes: list[int], device: str, *, cpu_time: bool, console: Console) -> dict[str, Any]:
    """Measure, print, and return every number.

    Raises:
        UsageError: a network without stages, a cloud too small, or processor seconds of a GPU.
        ModelError: no such weights.
    """
    if cpu_time and device == "cuda":
        raise UsageError("--cpu-time does not see what a GPU does; leave it out")
    network = load_model(model, device).model
    if not isinstance(network, StagedDenoiser):
        raise UsageError(f"{model!r} is a {type(network).__name__}; give a StagedDenoiser, such as auto")
    first = network.stages[0]
    assert isinstance(first, DenoisingStage)
    neighbours = first.features.neighbours
    if min(sizes) <= neighbours:
        raise UsageError(f"{min(sizes)} points have no {neighbours} neighbours each; give more")
    where = torch.device(device)
    seconds = stopwatch(where, time.process_time if cpu_time else time.perf_counter)
    with torch.inference_mode():
        ceilings = measure_ceilings(first.features.channels, neighbours, where, seconds)
        console.print(
            f"copy {ceilings.copy / 1e9:.1f} GB/s, gather from the cache {ceilings.gather / 1e9:.1f} GB/s, "
            f"float32 products {ceilings.product / 1e9:.0f} GFlop/s, "
            f"of the network's shapes {ceilings.narrow_product / 1e9:.0f} GFlop/s"
            + (" (for each second of a core)" if cpu_time else ""),
            highlight=False,
        )
        clouds = {}
        for n in sizes:
            measured = measure_cloud(network, n, where, ceilings, seconds)
            for title, rows in measured.items():
                console.print(table_of(f"{n:,} points, {title}", rows))
            clouds[n] = {title: [asdict(row) for row in rows] for title, rows in measured.items()}
    return {
        "model": model,
        "device": device,
        "clock": "seconds of all cores" if cpu_time else "seconds",
        "environment": environment(),
        "ceilings": asdict(ceilings),
        "clouds": clouds,
    }


if __name__ == "__main__":
    main()
