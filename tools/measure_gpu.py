"""Check and time what pcdenoise computes on a GPU, against references and against what the device can do.

    python tools/measure_gpu.py --out gpu.json                                  # on a machine with a GPU
    python tools/measure_gpu.py --device cpu --points 2000 --out cpu.json       # the same steps, small, anywhere

Needs torch, numpy, scipy, numba and safetensors; Triton for the fused kernels. Times are medians over repeats, after
one that does not count. Bytes: `least` reads every input and writes every output once; `gathered` counts a row of
features for each edge, from whichever cache it comes. The file is written again after each part, so what is measured
is kept when time runs out.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcdenoise.denoisers.device_tiling import DeviceTile, DeviceTiling
from pcdenoise.denoisers.models import load_model
from pcdenoise.geometry.bucket_tree import BucketTree
from pcdenoise.geometry.neighbours import build_tree, query_tree
from pcdenoise.kernels.gather_max import gather_max, gather_max_reference
from pcdenoise.kernels.wider_moments import with_wider_moments
from pcdenoise.networks.denoiser import DenoisingStage, StagedDenoiser

NEIGHBOURS, CHANNELS = 32, 64
REFERENCE_BYTES = 16e9  # the largest n * k * C array that the plain reference is timed with
TILE = 200_000


def noisy_sphere(n: int, level: float = 1.0) -> np.ndarray:
    """Fibonacci sphere of n points with Gaussian noise of `level` spacings, in units of the spacing."""
    i = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / n), np.pi * (1 + 5**0.5) * i
    points = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    noisy: np.ndarray = points * np.sqrt(n / (4 * np.pi)) + level * np.random.default_rng(0).standard_normal((n, 3))
    return noisy


def uneven_cloud(n: int) -> np.ndarray:
    """A noisy sphere, a lattice with ties, a cluster a million times as dense, duplicates and far outliers."""
    rng = np.random.default_rng(0)
    cloud = noisy_sphere(n)
    cloud[: n // 10] = rng.integers(0, 20, (n // 10, 3))
    cloud[n // 10 : n // 5] = rng.normal(size=(n // 5 - n // 10, 3)) * 1e-6
    cloud[n // 5 : n // 4] = cloud[n // 4]
    cloud[:: max(1, n // 50)] *= 1e5
    permuted: np.ndarray = rng.permutation(cloud)
    return permuted


class Stopwatch:
    """Times on a device.

    Args:
        device: events of a GPU, else the clock.
        repeats: how often each call runs, at most; a call that takes long runs less often.
    """

    def __init__(self, device: torch.device, repeats: int) -> None:
        self._device, self._repeats = device, repeats

    def milliseconds(self, call: Callable[[], object]) -> float:
        """Median time of a call."""
        self.once(call)
        times = [self.once(call)]
        while len(times) < self._repeats and sum(times) < 5000:
            times.append(self.once(call))
        return statistics.median(times)

    def once(self, call: Callable[[], object]) -> float:
        """Time of one call."""
        self._wait()
        started = time.perf_counter()
        call()
        self._wait()
        return 1e3 * (time.perf_counter() - started)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and names."""
    found: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__, "cores": os.cpu_count()}
    found["triton"] = None
    if importlib.util.find_spec("triton") is not None:
        import triton

        found["triton"] = triton.__version__
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"gpu": properties.name, "memory_gb": properties.total_memory / 2**30}
    return found


def ceilings(device: torch.device, watch: Stopwatch) -> dict[str, float]:
    """Bandwidth of a copy, bytes read and written, and rate of a matrix product on random data."""
    large = device.type == "cuda"
    source = torch.randn((1 << 29) if large else (1 << 22), device=device)
    target = torch.empty_like(source)
    found = {"copy_gb_per_s": 8e-6 * source.numel() / watch.milliseconds(lambda: target.copy_(source))}
    side = 8192 if large else 512
    for name in ("float32", "bfloat16") if large else ("float32",):
        a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, name)) for _ in range(2))
        found[f"gemm_{name}_tflops"] = 2e-9 * side**3 / watch.milliseconds(lambda a=a, b=b: a @ b)  # type: ignore[misc]
    return found


def edges_of(n: int, k: int, channels: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Inputs of gather-max, random but for the indices: neighbours in a cloud whose rows are sorted in space."""
    points = torch.from_numpy(noisy_sphere(n)).to(device)
    idx = BucketTree(points[BucketTree(points).order]).neighbours(k)[1]
    h, weight = (
        torch.randn(n, channels, device=device, dtype=dtype),
        torch.randn(4, channels, device=device, dtype=dtype),
    )
    return h, idx, torch.randn(n, k, 4, device=device, dtype=dtype), weight


def gradients(operator: Callable[..., Tensor], inputs: tuple[Tensor, ...], upstream: Tensor) -> list[Tensor]:
    """Value and gradients with respect to all that can have one."""
    learned = [value.detach().requires_grad_() if value.is_floating_point() else value for value in inputs]
    out = operator(*learned)
    return [out.detach(), *torch.autograd.grad(out, [value for value in learned if value.requires_grad], upstream)]


def check_gather_max(device: torch.device) -> dict[str, Any]:
    """Relative errors against the reference in float64, and whether two runs have the same bits."""
    found: dict[str, Any] = {}
    for k, channels in ((NEIGHBOURS, CHANNELS), (7, 20), (1, 1), (16, 130)):
        inputs = edges_of(3000, k, channels, device, torch.float32)
        upstream = torch.randn(3000, channels, device=device)
        mine, again = (gradients(gather_max, inputs, upstream) for _ in range(2))
        exact = [value.double() if value.is_floating_point() else value for value in inputs]
        wanted = gradients(gather_max_reference, tuple(exact), upstream.double())
        names = ("out", "grad_h", "grad_edges", "grad_weight")
        # of near-equal maxima float32 may choose another than float64: a norm forgives a few
        errors = {name: float((a - b).norm() / b.norm()) for name, a, b in zip(names, mine, wanted, strict=True)}
        same = all(torch.equal(a, b) for a, b in zip(mine, again, strict=True))
        found[f"k={k} C={channels}"] = {"relative_errors": errors, "same_bits": same}
        assert same
        assert errors["out"] < 1e-5
        assert max(errors.values()) < 1e-2
    return found


def check_neighbours(device: torch.device, n: int) -> dict[str, Any]:
    """The search against scipy's tree, on an uneven cloud of n points."""
    cloud = uneven_cloud(n)
    tree = BucketTree(torch.from_numpy(cloud).to(device))
    distances, indices = (part.cpu().numpy() for part in tree.neighbours(NEIGHBOURS, include_self=True))
    wanted, _ = query_tree(build_tree(cloud), cloud, NEIGHBOURS)
    largest = float(np.max(np.abs(distances - wanted) / np.maximum(wanted, 1e-300)))
    claimed = np.linalg.norm(cloud[indices[:, -1]] - cloud, axis=1)
    assert largest < 1e-15
    assert np.allclose(claimed, wanted[:, -1], rtol=1e-12, atol=0)
    return {"points": n, "largest_relative_error": largest}


def measure_gather_max(device: torch.device, watch: Stopwatch, n: int, copy: float) -> dict[str, float]:
    """Times, bytes and flops; the backward pass as training needs it, for h and weight."""
    k, c = NEIGHBOURS, CHANNELS
    h, idx, edges, weight = edges_of(n, k, c, device, torch.float32)
    upstream = torch.randn(n, c, device=device)
    found: dict[str, float] = {"points": n}

    def both(operator: Callable[..., Tensor]) -> None:
        learned = h.detach().requires_grad_(), weight.detach().requires_grad_()
        torch.autograd.grad(operator(learned[0], idx, edges, learned[1]), learned, upstream)

    found["forward_ms"] = watch.milliseconds(lambda: gather_max(h, idx, edges, weight))
    least, gathered = 4 * n * (5 * k + 2 * c), 4 * n * (5 * k + k * c + c)
    found |= {"least_gb": least / 1e9, "gathered_gb": gathered / 1e9, "gflop": 9e-9 * n * k * c}
    for name, moved in (("least", least), ("gathered", gathered)):
        found[f"forward_{name}_over_copy"] = 1e-6 * moved / found["forward_ms"] / copy
    if 4 * n * k * c <= REFERENCE_BYTES:
        found["forward_backward_ms"] = watch.milliseconds(lambda: both(gather_max))
        found["reference_forward_ms"] = watch.milliseconds(lambda: gather_max_reference(h, idx, edges, weight))
        found["reference_forward_backward_ms"] = watch.milliseconds(lambda: both(gather_max_reference))
    return found


def measure_neighbours(device: torch.device, watch: Stopwatch, n: int) -> dict[str, float]:
    """Building the tree and asking for the neighbours of all points; a sample is compared with scipy's."""
    cloud = noisy_sphere(n)
    points = torch.from_numpy(cloud).to(device)
    found: dict[str, float] = {"points": n, "build_ms": watch.milliseconds(lambda: BucketTree(points))}
    tree = BucketTree(points)
    found["search_ms"] = watch.milliseconds(lambda: tree.neighbours(NEIGHBOURS))
    started = time.perf_counter()
    scipy_tree = build_tree(cloud)
    found["scipy_build_ms"] = 1e3 * (time.perf_counter() - started)
    rows = np.random.default_rng(1).permutation(n)[: min(n, 100_000)]
    started = time.perf_counter()
    _, wanted = query_tree(scipy_tree, cloud[rows], NEIGHBOURS + 1)
    found["scipy_search_ms_per_100k"] = 1e3 * (time.perf_counter() - started) * 100_000 / len(rows)
    mine = tree.neighbours(NEIGHBOURS)[1][torch.from_numpy(rows).to(device)]
    assert np.array_equal(mine.cpu().numpy(), wanted[:, 1:])
    return found


def measure_stage(device: torch.device, watch: Stopwatch, n: int) -> dict[str, float]:
    """One stage of the network over a whole cloud that is searched, gathered and measured on the device."""
    model: Any = load_model(device=device.type)
    network: StagedDenoiser = model.model
    stage = network.stages[0]
    assert isinstance(stage, DenoisingStage)
    points = torch.from_numpy(noisy_sphere(n)).to(device)
    features = stage.features
    asked = points, features.neighbours, features.layers, TILE, features.neighbourhoods
    found: dict[str, float] = {"points": n, "search_ms": watch.once(lambda: DeviceTiling(*asked))}
    tiling, move = DeviceTiling(*asked), np.empty((n, 3), np.float32)
    spent = 0.0

    def evaluate(tile: DeviceTile) -> tuple[Any, ...]:
        nonlocal spent
        answer: list[Tensor] = []
        sigma = torch.ones(len(tile.graph.idx), 1, device=device)

        def run() -> None:
            with torch.inference_mode():
                answer.append(stage(with_wider_moments(tile.graph, features.hops), sigma, None)[0])

        spent += watch.once(run)
        return (answer[0].cpu().numpy(),)

    def whole() -> None:
        tiling.run(evaluate, (move,), lambda done: None)

    whole()
    spent = 0.0
    found["tiles_ms"] = watch.once(whole)
    found["network_ms"] = spent
    assert np.isfinite(move).all()
    return found


def measure_denoising(device: torch.device, watch: Stopwatch, n: int) -> dict[str, float]:
    """`pcdenoise denoise` without reading and writing, as the engine stands."""
    from pcdenoise.api import denoise_with_report
    from pcdenoise.cloud import PointCloud

    engine, cloud = load_model(device=device.type), PointCloud(noisy_sphere(n))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    found: dict[str, float] = {"points": n, "seconds": watch.once(lambda: denoise_with_report(cloud, engine)) / 1e3}
    if device.type == "cuda":
        found["peak_gpu_gb"] = torch.cuda.max_memory_allocated(device) / 2**30
    return found


def main() -> None:
    """Check, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    parser.add_argument("--denoise-up-to", type=int, default=1_000_000, help="largest cloud for the whole engine")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--check-points", type=int, help="size of the uneven cloud the search is checked on")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: run this where torch finds one, or give --device cpu and small --points")
    torch.manual_seed(0)
    watch = Stopwatch(device, options.repeats)
    results: dict[str, Any] = {}

    def keep(name: str, value: object) -> None:
        results[name] = value
        options.out.write_text(json.dumps(results, indent=2) + "\n")
        print(name, json.dumps(value), flush=True)

    keep("environment", environment(device))
    keep("ceilings", ceilings(device, watch))
    keep("gather_max_against_reference", check_gather_max(device))
    keep(
        "neighbours_against_scipy",
        check_neighbours(device, options.check_points or (200_000 if device.type == "cuda" else 1000)),
    )
    copy = results["ceilings"]["copy_gb_per_s"]
    for n in options.points:
        keep(f"neighbours {n}", measure_neighbours(device, watch, n))
        keep(f"gather_max {n}", measure_gather_max(device, watch, n, copy))
        keep(f"stage {n}", measure_stage(device, watch, n))
        if n <= options.denoise_up_to:
            keep(f"denoising {n}", measure_denoising(device, watch, n))


if __name__ == "__main__":
    main()
