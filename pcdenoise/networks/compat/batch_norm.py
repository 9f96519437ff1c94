"""Batch normalisation and ReLU in one pass over the values."""

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM, EPSILON = 0.1, 1e-5
ROWS = 256  # rows per task, which stay in the cache; sums are taken over this many at a time, at any thread count


class BatchNormReLU(nn.Module):
    """`relu(weight (x - mean) / sqrt(var + 1e-5) + bias)` per channel (Ioffe & Szegedy, ICML 2015).

    In training, mean and variance are those of the batch, and running ones follow them by a tenth; else the running
    ones count. torch's own on the CPU takes ten times as long for the gradients of rows of channels.

    Shapes:
        (n, C) -> (n, C), n > 1 in training.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            scale, shift = self.affine()
            return F.relu(torch.addcmul(shift, x, scale))
        if x.device.type != "cpu":
            return F.relu(
                F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, True, MOMENTUM, EPSILON)
            )
        y, mean, variance = _BatchNormReLU.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.running_mean.lerp_(mean, MOMENTUM)
            self.running_var.lerp_(variance * (len(x) / (len(x) - 1)), MOMENTUM)
        return y  # type: ignore[no-any-return]

    def affine(self) -> tuple[Tensor, Tensor]:
        """Factor and summand (C,) outside training, before the ReLU."""
        scale = self.weight / torch.sqrt(self.running_var + EPSILON)
        return scale, self.bias - self.running_mean * scale


class _BatchNormReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = x.detach().contiguous()
        mean, variance = _moments(x)
        rate = torch.rsqrt(variance + EPSILON)
        scale = weight.detach() * rate
        shift = bias.detach() - mean * scale
        y = torch.empty_like(x)
        _apply(x.numpy(), scale.numpy(), shift.numpy(), y.numpy())
        ctx.save_for_backward(x, mean, rate, scale, shift)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, mean, rate, scale, shift = ctx.saved_tensors
        arrays = gradient.contiguous().numpy(), x.numpy(), scale.numpy(), shift.numpy()
        partial = torch.empty(-(-len(x) // ROWS), 2, x.shape[1])
        _gradient_sums(*arrays, mean.numpy(), partial.numpy())
        grad_bias, grad_weight = partial.sum(dim=0)
        grad_weight *= rate
        # grad_x = scale (g - mean(g) - z mean(g z)), z the normalised x: linear in g and x
        slope = -scale * rate * grad_weight / len(x)
        level = -scale * grad_bias / len(x) - slope * mean
        grad_x = torch.empty_like(x)
        _gradient(*arrays, slope.numpy(), level.numpy(), grad_x.numpy())
        return grad_x, grad_weight, grad_bias


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, from those of tasks of rows (Chan et al., 1983)."""
    n, channels = x.shape
    tasks = -(-n // ROWS)
    means, squares = torch.empty(tasks, channels), torch.empty(tasks, channels)
    _task_moments(x.numpy(), means.numpy(), squares.numpy())
    sizes = torch.full((tasks, 1), ROWS, dtype=torch.float64)
    sizes[-1] = n - ROWS * (tasks - 1)
    mean = (sizes * means).sum(dim=0) / n
    variance = (squares + sizes * (means - mean).square()).sum(dim=0) / n
    return mean.float(), variance.float()


_FAST = {"contract", "nsz"}


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _task_moments(x, means, squares):  # type: ignore[no-untyped-def]
    """Mean and sum of squared deviations of each task's rows."""
    n, channels = x.shape
    for task in numba.prange(len(means)):
        low, high = task * ROWS, min(n, (task + 1) * ROWS)
        mean, square = means[task], squares[task]
        mean[:] = 0
        square[:] = 0
        for i in range(low, high):
            for c in range(channels):
                mean[c] += x[i, c]
        for c in range(channels):
            mean[c] /= np.float32(high - low)
        for i in range(low, high):
            for c in range(channels):
                deviation = x[i, c] - mean[c]
                square[c] += deviation * deviation


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _apply(x, scale, shift, y):  # type: ignore[no-untyped-def]
    zero = np.float32(0)
    for i in numba.prange(len(x)):
        for c in range(x.shape[1]):
            v = scale[c] * x[i, c] + shift[c]
            y[i, c] = zero if v < zero else v  # what is not a number stays so


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _gradient_sums(g, x, scale, shift, mean, partial):  # type: ignore[no-untyped-def]
    """Of the gradient before the ReLU, and of its product with `x - mean`, over each task's rows."""
    n, channels = x.shape
    zero = np.float32(0)
    for task in numba.prange(len(partial)):
        sums = partial[task]
        sums[:] = 0
        for i in range(task * ROWS, min(n, (task + 1) * ROWS)):
            for c in range(channels):
                value = g[i, c] if scale[c] * x[i, c] + shift[c] > zero else zero
                sums[0, c] += value
                sums[1, c] += value * (x[i, c] - mean[c])


@numba.njit(parallel=True, fastmath=_FAST, cache=True)
def _gradient(g, x, scale, shift, slope, level, grad_x):  # type: ignore[no-untyped-def]
    zero = np.float32(0)
    for i in numba.prange(len(x)):
        for c in range(x.shape[1]):
            value = g[i, c] if scale[c] * x[i, c] + shift[c] > zero else zero
            grad_x[i, c] = scale[c] * value + slope[c] * x[i, c] + level[c]
