"""How much memory training needs, and how to do with less of it."""

import ctypes
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.checkpoint import checkpoint

from pcdenoise.networks.conditional import ConditionalBlock
from pcdenoise.networks.edgeconv import EdgeConvBlock

# Blocks that give the same when they are computed twice, which batch normalisation with its running moments does not.
BLOCKS = (EdgeConvBlock, ConditionalBlock)
LARGE = 1 << 20  # bytes; smaller ones would take more time to map than they are worth
M_MMAP_THRESHOLD = -3  # of malloc.h


def recompute_blocks(network: nn.Module) -> None:
    """Keep only what enters each block, and compute what is inside again in the backward pass.

    The gradients are the same to the bit. Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    """
    for block in network.modules():
        if isinstance(block, BLOCKS):
            again = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
            block.forward = again  # type: ignore[method-assign]


def give_back_large_blocks() -> None:
    """Let the C library hand a block from `LARGE` on back to the system as soon as it is freed.

    That of Linux otherwise keeps freed tensors for later ones, and as these come in other sizes, a process grows to
    several times what its tensors hold. It does so for the whole process; other systems are left as they are.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows what the tensors hold that this thread makes on the CPU.

    A storage counts from the operation that makes it until the last tensor lets go of it, the graph of the backward
    pass included. What numpy and numba hold is not counted.

    Attributes:
        peak: the most bytes that were held at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self._follow((args, kwargs), new=False)
        result = func(*args, **kwargs)
        self._follow(result, new=True)
        self.peak = max(self.peak, self._live)
        return result

    def _follow(self, values: Any, *, new: bool) -> None:
        for value in tree_iter(values):
            if isinstance(value, Tensor) and id(value.untyped_storage()) not in self._known:
                storage = value.untyped_storage()
                held = storage.nbytes() if new else 0
                self._known.add(id(storage))
                self._live += held
                weakref.finalize(storage, self._release, id(storage), held)

    def _release(self, key: int, held: int) -> None:
        self._known.discard(key)
        self._live -= held


@dataclass
class Peak:
    """The most that tensors held at once, in bytes, beyond what they held before."""

    bytes: int = 0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure a computation; the peak is known when the context has ended.

    On the CPU it is at most one gradient too large: while tensors are followed, autograd adds gradients into new ones.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device) - before
    else:
        with LiveBytes() as live:
            yield peak
        peak.bytes = live.peak
