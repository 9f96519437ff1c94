"""The training loop."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pcdenoise.errors import PcdenoiseError, UsageError
from pcdenoise.networks.denoiser import StagedDenoiser
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField
from pcdenoise.training.memory import BLOCKS, Peak, give_back_large_blocks, peak_memory, recompute_blocks
from pcdenoise.training.parallel import Processes
from pcdenoise.training.patches import CleanCloud, PatchSampler
from pcdenoise.training.precision import autocast_linear_layers, has_bfloat16
from pcdenoise.training.prefetch import prefetched
from pcdenoise.training.state import OPTIMIZERS, TrainingState

PRECISIONS, MEMORIES = ("auto", "float32", "bfloat16"), ("normal", "low")


class Loss(Protocol):
    """An objective of score matching.

    Attributes:
        needs: what it needs of the network, see `pcdenoise.score`.
        levels: noise levels in local spacings, of which each patch takes one; None leaves it to the patch sampler.
    """

    needs: ClassVar[frozenset[str]]

    @property
    def levels(self) -> tuple[float, ...] | None:
        """See above."""
        ...

    def __call__(self, field: ScoreField, x: Tensor, patches: NoisyPatches, generator: torch.Generator) -> Tensor:
        """Values (c,), one per point that is asked about; the field is that of the cloud x (n, 3)."""
        ...


class DivergedError(PcdenoiseError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Progress:
    """What the loop tells after each step.

    Attributes:
        step: steps done.
        loss: weighted sum of the stages' losses, over the patches of all processes.
        stage_losses: loss of each stage.
        learning_rate: of this step.
        seconds: this step took.
        waited: seconds of these for data.
        memory: the most bytes that tensors held at once per patch, measured in the first step after a start.
    """

    step: int
    loss: float
    stage_losses: tuple[float, ...]
    learning_rate: float
    seconds: float
    waited: float
    memory: float | None


@dataclass(frozen=True)
class Trainer:
    """Trains a network, the stages of a chain together.

    The learning rate is constant after `warmup` steps and falls linearly to zero over the last `decay` share of
    `max_steps`, so that a run can be resumed with a larger `max_steps` before its decay begins. Resuming continues
    bit for bit: what is drawn depends on the seed and the step alone.

    A step's patches are those of the sampler times `accumulate`, shared among the processes. Each process takes its
    part in `accumulate` pieces, one after another. The gradient is the mean over all, so pieces and processes change
    it by no more than float rounding, unless a loss draws numbers, which it does for each piece anew, or a network
    normalises batches, which it does with each piece on its own.

    Args:
        max_steps: optimiser steps in all.
        optimizer: `adamw` or `muon`, see `TrainingState`.
        learning_rate: of the optimiser; one suits both.
        weight_decay: of the optimiser.
        warmup: steps.
        decay: share of `max_steps`.
        clip: largest gradient norm.
        ema: decay of the exponential moving average that is validated and shipped.
        stage_weights: weight of each stage's loss; the last one is repeated for further stages. A stage of weight 0
            stays as it is.
        accumulate: pieces of a step, whose gradients are summed before the optimiser moves.
        precision: `bfloat16` computes linear layers under autocast, on GPUs and on processors that have it (AMX);
            positions, graphs, normalisation and losses stay in float32. `auto` takes it where a GPU has it, `float32`
            never.
        memory: `low` keeps only what enters each block of the network and computes the rest again in the backward pass,
            with the same result, and gives freed memory back to the system at once.
        workers: threads that prepare patches ahead of the loop.

    Raises:
        UsageError: a value outside its range.
    """

    max_steps: int = 20_000
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: int = 100
    decay: float = 0.3
    clip: float = 1.0
    ema: float = 0.999
    stage_weights: tuple[float, ...] = (0.5, 0.7, 1.0)
    accumulate: int = 1
    precision: str = "auto"
    memory: str = "normal"
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("max_steps", "accumulate", "workers", "warmup"):
            if getattr(self, name) < 1:
                raise UsageError(f"trainer.{name} is {getattr(self, name)}; give at least 1")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise UsageError(f"trainer.{name} is {getattr(self, name)}; give a number above 0")
        for name, choices in (("optimizer", OPTIMIZERS), ("precision", PRECISIONS), ("memory", MEMORIES)):
            if getattr(self, name) not in choices:
                raise UsageError(f"trainer.{name} is {getattr(self, name)!r}; give one of {', '.join(choices)}")
        if not self.stage_weights:
            raise UsageError("trainer.stage_weights is empty; give the weight of at least one stage")

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        left = (self.max_steps - step) / max(1.0, self.decay * self.max_steps)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * min(1.0, left)

    def check_fits(self, network: ScoreNetwork, device: torch.device) -> None:
        """Refuse a precision that the device, or a use of memory that the network does not have.

        Raises:
            UsageError: says which.
        """
        if self.precision == "bfloat16" and not has_bfloat16(device):
            raise UsageError(
                f"trainer.precision=bfloat16 gains nothing on this device, {device}: it has no fast matrix products in "
                "bfloat16; leave it at auto"
            )
        if self.memory == "low" and not any(isinstance(module, BLOCKS) for module in network.modules()):
            raise UsageError(
                f"trainer.memory=low computes EdgeConv blocks again, which {type(network).__name__} does not have; "
                "use trainer.memory=normal, and a larger trainer.accumulate with fewer patches.patches"
            )

    def run(
        self,
        state: TrainingState,
        loss: Loss,
        sampler: PatchSampler,
        clouds: Sequence[CleanCloud],
        processes: Processes | None = None,
    ) -> Iterator[Progress]:
        """Trains from `state.step` on and yields after each step.

        Args:
            state: the same in each process.
            loss: what to minimise.
            sampler: its patches are a whole multiple of the processes.
            clouds: to cut patches out of.
            processes: who trains together; None for this one alone, where its network is.

        Raises:
            DivergedError: the loss is not finite; names the step and its patches.
        """
        network = state.model
        device = next(network.parameters()).device
        self.check_fits(network, device)
        if self.memory == "low":
            recompute_blocks(network)
            give_back_large_blocks()
        automatic = self.precision == "auto" and device.type == "cuda" and has_bfloat16(device)
        if automatic or self.precision == "bfloat16":
            autocast_linear_layers(network, device)
        processes = processes or Processes(device=device)
        size = sampler.patches // processes.count
        pieces = [a * processes.count + processes.rank for a in range(self.accumulate)]
        tasks = (
            partial(sampler.batch, clouds, step, range(piece * size, (piece + 1) * size))
            for step in range(state.step, self.max_steps)
            for piece in pieces
        )
        stages = len(network.stages) if isinstance(network, StagedDenoiser) else 1
        weights = [self.stage_weights[min(p, len(self.stage_weights) - 1)] for p in range(stages)]
        weight = torch.tensor(weights, device=device)
        if isinstance(network, StagedDenoiser):
            for stage, its in zip(network.stages, weights, strict=True):
                stage.requires_grad_(its > 0)
        parameters = list(network.parameters())
        measured = False
        network.train()
        with closing(prefetched(tasks, self.workers)) as batches:
            while state.step < self.max_steps:
                started, waited = time.perf_counter(), 0.0
                state.zero_grad()
                losses = torch.zeros(stages, device=device)
                measure = nullcontext(Peak()) if measured else peak_memory(device)
                with measure as peak:
                    for piece in pieces:
                        asked = time.perf_counter()
                        patches = next(batches).to(device)
                        waited += time.perf_counter() - asked
                        generator = torch.Generator(device).manual_seed(seed_of(sampler.seed, state.step, piece))
                        values = stage_losses(network, loss, patches, generator, stages)
                        (weight @ values / self.accumulate).backward()  # type: ignore[no-untyped-call]
                        losses += values.detach() / self.accumulate
                gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
                processes.average([losses, *gradients])
                total = float(weight @ losses)
                if not np.isfinite(total):
                    origins = [
                        sampler.describe(clouds, state.step, number)
                        for number in range(sampler.patches * self.accumulate)
                    ]
                    raise DivergedError(
                        f"the loss is {total} at step {state.step + 1}, batch {state.step} of seed {sampler.seed}: "
                        f"{', '.join(origins)}; lower trainer.learning_rate or resume an earlier checkpoint"
                    )
                rate = self.rate(state.step)
                nn.utils.clip_grad_norm_(parameters, self.clip)
                state.move(rate)
                state.update_average(min(self.ema, state.step / (state.step + 10)))
                seconds = time.perf_counter() - started
                memory = None if measured else peak.bytes / size
                measured = True
                yield Progress(state.step, total, tuple(losses.tolist()), rate, seconds, waited, memory)


def stage_losses(
    network: ScoreNetwork, loss: Loss, patches: NoisyPatches, generator: torch.Generator, stages: int
) -> Tensor:
    """Mean loss (stages,) of each stage; not a number for stages that a chain which broke off has not reached."""
    values = [loss(field, x, patches, generator).mean() for x, field in network.fields(patches)]
    values += [values[0].new_full((), torch.nan)] * (stages - len(values))
    return torch.stack(values)


def seed_of(*numbers: int) -> int:
    """One seed for torch from several numbers, as numpy mixes them."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
