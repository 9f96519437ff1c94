"""Memory and time of a training step with `trainer.memory=normal` and `low`.

    python tools/measure_training_memory.py                                   # what `pcdenoise train` trains
    python tools/measure_training_memory.py network=energy loss=mdsm          # overrides of conf/train.yaml

The data are a sphere. Tensors are followed one by one (`LiveBytes`); the resident set is that of a fresh process for
each of the two, and what it grows by in full-sized steps once a small one has loaded all code. Times are medians over
steps that take turns, because other work on the machine changes from minute to minute.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcdenoise.config import compose, instantiate
from pcdenoise.patches import NoisyPatches
from pcdenoise.training.loop import MEMORIES, Loss, stage_losses
from pcdenoise.training.memory import give_back_large_blocks, peak_memory, recompute_blocks
from pcdenoise.training.patches import CleanCloud, PatchSampler

STEPS = 9


class Step:
    """Forward and backward pass of a configuration."""

    def __init__(self, config: Mapping[str, Any], memory: str) -> None:
        torch.manual_seed(0)
        self.loss: Loss = instantiate(config["loss"])
        self.network = instantiate(config["network"]).train()
        if memory == "low":
            recompute_blocks(self.network)
            give_back_large_blocks()

    def __call__(self, patches: NoisyPatches) -> None:
        self.network.zero_grad(set_to_none=True)
        generator = torch.Generator().manual_seed(0)
        stages = len(getattr(self.network, "stages", [0]))
        stage_losses(self.network, self.loss, patches, generator, stages).sum().backward()  # type: ignore[no-untyped-call]


def batches(config: Mapping[str, Any]) -> tuple[NoisyPatches, NoisyPatches]:
    """A small one and one as it is trained on."""
    points = np.random.default_rng(0).standard_normal((20_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    clouds = [CleanCloud(points, points)]
    sampler: PatchSampler = replace(instantiate(config["patches"]), levels=instantiate(config["loss"]).levels)
    return replace(sampler, points=200, patches=1).batch(clouds, 0), sampler.batch(clouds, 0)


def status(key: str) -> int:
    """Bytes, as Linux knows them: of the resident set (VmRSS), of the largest it ever was (VmHWM)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def resident(config: Mapping[str, Any], memory: str) -> int:
    """Bytes by which the resident set of this process grows in two steps."""
    step, (small, full) = Step(config, memory), batches(config)
    step(small)
    before = status("VmRSS")
    step(full)
    step(full)
    return status("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*")
    config = compose("train", parser.parse_args().overrides)
    full = batches(config)[1]
    steps = {memory: Step(config, memory) for memory in MEMORIES}
    held, grown = {}, {}
    for memory, step in steps.items():
        step(full)
        with peak_memory(torch.device("cpu")) as peak:
            step(full)
        held[memory] = peak.bytes / full.count
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            grown[memory] = pool.submit(resident, config, memory).result() / full.count
    clocks = {"wall": time.perf_counter, "cpu": time.process_time}
    times: dict[tuple[str, str], list[float]] = {(memory, clock): [] for memory in steps for clock in clocks}
    for _ in range(STEPS):
        for memory, step in steps.items():
            started = {name: clock() for name, clock in clocks.items()}
            step(full)
            for name, clock in clocks.items():
                times[memory, name].append(clock() - started[name])
    print(f"{full.count} patches of {len(full.noisy) // full.count} points")
    for memory in steps:
        wall, cpu = (statistics.median(times[memory, name]) for name in clocks)
        print(
            f"{memory:>6}: {held[memory] / 1e6:6.1f} MB a patch in tensors, {grown[memory] / 1e6:6.1f} MB resident; "
            f"{cpu:.3f} CPU s, {wall:.3f} s a step"
        )
    ratios = {name: [b / a for a, b in zip(*(times[m, name] for m in MEMORIES), strict=True)] for name in clocks}
    print(
        f" ratio: {held['low'] / held['normal']:.2f} in tensors, {grown['low'] / grown['normal']:.2f} resident; "
        f"{statistics.median(ratios['cpu']):.2f} CPU s, {statistics.median(ratios['wall']):.2f} s"
    )


if __name__ == "__main__":
    main()
