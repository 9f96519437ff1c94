"""The training loop."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from pcdenoise.errors import PcdenoiseError
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField
from pcdenoise.training.patches import CleanCloud, PatchSampler
from pcdenoise.training.state import TrainingState


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
    """What the loop tells after each step."""

    step: int
    loss: float
    stage_losses: tuple[float, ...]
    learning_rate: float
    waited: float


@dataclass
class Trainer:
    """Trains the stages of a denoiser together, each on the detached output of the one before.

    The learning rate is constant after `warmup` steps and falls linearly to zero over the last `decay` share of
    `max_steps`, so that a run can be resumed with a larger `max_steps` before its decay begins. Resuming continues
    bit for bit: batches depend on the seed and the step alone.

    Args:
        max_steps: optimiser steps in all.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        warmup: steps.
        decay: share of `max_steps`.
        clip: largest gradient norm.
        ema: decay of the exponential moving average that is validated and shipped.
        stage_weights: weight of each stage's loss; the last one is repeated for further stages.
    """

    max_steps: int = 20_000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: int = 100
    decay: float = 0.3
    clip: float = 1.0
    ema: float = 0.999
    stage_weights: tuple[float, ...] = (0.5, 0.7, 1.0)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        left = (self.max_steps - step) / max(1.0, self.decay * self.max_steps)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * min(1.0, left)

    def run(
        self,
        state: TrainingState,
        loss: Loss,
        sampler: PatchSampler,
        clouds: Sequence[CleanCloud],
    ) -> Iterator[Progress]:
        """Trains from `state.step` on and yields after each step.

        Raises:
            DivergedError: the loss is not finite; names the step.
        """
        model, optimizer = state.model, state.optimizer
        device = next(model.parameters()).device
        model.train()
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(sampler.batch, clouds, state.step)
            while state.step < self.max_steps:
                started = time.perf_counter()
                batch = upcoming.result()
                waited = time.perf_counter() - started
                if state.step + 1 < self.max_steps:
                    upcoming = pool.submit(sampler.batch, clouds, state.step + 1)
                rate = self.rate(state.step)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                patches = batch.to(device)
                generator = torch.Generator(device).manual_seed(state.step)
                losses = [loss(field, x, patches, generator).mean() for x, field in model.fields(patches)]
                weights = [self.stage_weights[min(p, len(self.stage_weights) - 1)] for p in range(len(losses))]
                total = sum(
                    (w * value for w, value in zip(weights, losses, strict=True)), torch.zeros((), device=device)
                )
                if not bool(torch.isfinite(total)):
                    raise DivergedError(
                        f"the loss is {total.item()} at step {state.step}; "
                        "lower trainer.learning_rate or resume an earlier checkpoint"
                    )
                optimizer.zero_grad(set_to_none=True)
                total.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), self.clip)
                optimizer.step()
                state.step += 1
                state.update_average(min(self.ema, state.step / (state.step + 10)))
                yield Progress(state.step, total.item(), tuple(v.item() for v in losses), rate, waited)
