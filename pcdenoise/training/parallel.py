"""Processes that train one network together, as torchrun starts them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import Tensor, distributed

from pcdenoise.errors import PcdenoiseError, UsageError

# The others wait while the first one reads the data set or validates; torchrun ends them if it fails.
PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; the first, 0, writes.
        count: of all.
        device: where this one computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, which has the same bits in all of them.

        Args:
            tensors: as many and as large as in every other process, of one type.

        Raises:
            PcdenoiseError: another process is gone.
        """
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        try:
            distributed.all_reduce(flat)
        except RuntimeError:
            raise PcdenoiseError("another process of this run has ended; its own message says why") from None
        means = torch.split(flat / self.count, [tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view_as(tensor))

    @contextmanager
    def first_one_first(self) -> Iterator[None]:
        """The others enter when the first process is through, and find what it has cached."""
        if self.rank:
            self._meet()
        yield
        if not self.rank:
            self._meet()

    def _meet(self) -> None:
        self.average([torch.zeros(1, device=self.device)])


def launched() -> bool:
    """Whether torchrun has started this process."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


def rank() -> int:
    """Number of this process, 0 for one on its own."""
    return int(os.environ["RANK"]) if launched() else 0


def training_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means; each process of a machine has a GPU of its own.

    Raises:
        UsageError: no such device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device {name!r}; give auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available; use device=cpu, or install torch with CUDA")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    number = int(os.environ["LOCAL_RANK"]) if launched() else 0
    if number >= torch.cuda.device_count():
        raise UsageError(f"process {number} has no GPU; give torchrun --nproc-per-node {torch.cuda.device_count()}")
    return torch.device("cuda", number)


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started until the context ends; without torchrun a process trains alone.

    They talk through NCCL on GPUs and gloo on CPUs. OMP_NUM_THREADS, which torchrun sets to 1 where it is not given,
    says how many threads each of them has.
    """
    if not launched():
        yield Processes(device=device)
        return
    import numba

    numba.set_num_threads(min(torch.get_num_threads(), numba.get_num_threads()))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()
