"""The conditional residual score network of Luo & Hu (ICCV 2021), with batch normalisation."""

from itertools import accumulate
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.networks.compat.batch_norm import BatchNormReLU

PARTS = 8  # of a sum over rows
ROWS, ROWS_GPU = (
    1 << 11,
    1 << 18,
)  # offsets taken at a time: their values stay in the processor's cache, or fit the memory


class ResidualScore(nn.Module):
    """A residual network of a point's offset p and the features h of the point that it is offset from.

        x_1 = A [p, h],   x_{l+1} = x_l + B_l y_l + D_l [p, h],   y_l = norm(C_l norm(x_l)),   out = E norm(x_{L+1})

    `norm` is batch normalisation and ReLU, all maps have biases. It is computed as

        x_l = (A + sum_{i<l} D_i) [p, h] + sum_{i<l} B_i y_i

    because what h alone gives is the same for all offsets from a point.

    Args:
        channels: of h.
        hidden: width of x.
        blocks: L.
    """

    def __init__(self, channels: int, hidden: int, blocks: int) -> None:
        super().__init__()
        self.enter = nn.Linear(3 + channels, hidden)
        self.blocks = nn.ModuleList(ResidualBlock(channels, hidden) for _ in range(blocks))
        self.norm = BatchNormReLU(hidden)
        self.leave = nn.Linear(hidden, 3)

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        """(q, C) and (q, m, 3) to (q, m, 3)."""
        if not self.training and not torch.is_grad_enabled():
            return self._evaluate(features, offsets)
        inputs = F.pad(offsets, (0, 1), value=1.0)
        # [p, 1] to what p and h give, for each h
        given = [
            torch.cat(
                [weight[:, :3].T.expand(len(features), -1, -1), F.linear(features, weight[:, 3:], bias)[:, None]], dim=1
            )
            for weight, bias in self._conditions()
        ]
        x = inputs @ given[0]
        total = torch.zeros_like(x.flatten(0, 1))
        for index, block in enumerate(self._blocks()):
            y = block.norm_second(_linear(block.norm_first(x.flatten(0, 1)), block.first))
            total = _add_product(total, y, block.second.weight)
            x = torch.baddbmm(total.view(x.shape), inputs, given[index + 1])
        return self.leave(self.norm(x.flatten(0, 1))).view(offsets.shape)  # type: ignore[no-any-return]

    def _blocks(self) -> list["ResidualBlock"]:
        return [block for block in self.blocks if isinstance(block, ResidualBlock)]

    def _conditions(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases that [p, h] meets before each block and after the last, all biases B_l included."""
        blocks = self._blocks()
        weights = accumulate([self.enter.weight, *(block.condition.weight for block in blocks)])
        biases = accumulate([self.enter.bias, *(block.condition.bias + block.second.bias for block in blocks)])
        return list(zip(weights, biases, strict=True))

    def _evaluate(self, features: Tensor, offsets: Tensor) -> Tensor:
        """Without gradients: the normalisations become parts of the maps, and rows come in pieces for the cache."""
        blocks = self._blocks()
        scales, shifts = zip(*(norm.affine() for norm in (*(b.norm_first for b in blocks), self.norm)), strict=True)
        given = [
            (scale[:, None] * weight, scale * bias + shift)
            for (weight, bias), scale, shift in zip(self._conditions(), scales, shifts, strict=True)
        ]
        along = [weight[:, :3].T.contiguous() for weight, _ in given]
        from_features = torch.cat([weight[:, 3:] for weight, _ in given]), torch.cat([bias for _, bias in given])
        inner = []
        for block in blocks:
            scale, shift = block.norm_second.affine()
            inner.append((scale[:, None] * block.first.weight, scale * block.first.bias + shift))
        offsets = offsets.contiguous()
        points = max(1, (ROWS_GPU if offsets.is_cuda else ROWS) // offsets.shape[1])
        out = torch.empty_like(offsets)
        for h, p, moves in zip(*(torch.split(t, points) for t in (features, offsets, out)), strict=True):
            own = F.linear(h, *from_features).view(len(h), len(given), -1)
            total = torch.zeros(p.shape[0] * p.shape[1], own.shape[2], device=p.device)
            y = torch.empty_like(total)
            for index, block in enumerate(blocks):
                _add_relu(total, scales[index], p, along[index], own, index, y)
                total.addmm_(F.linear(y, *inner[index]).relu_(), block.second.weight.T)
            _add_relu(total, scales[-1], p, along[-1], own, len(blocks), y)
            moves.copy_(self.leave(y).view(p.shape))
        return out


class ResidualBlock(nn.Module):
    """The layers of a block of `ResidualScore`: C, B, D and the normalisations before C and B."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.norm_first = BatchNormReLU(hidden)
        self.first = nn.Linear(hidden, hidden)
        self.norm_second = BatchNormReLU(hidden)
        self.second = nn.Linear(hidden, hidden)
        self.condition = nn.Linear(3 + channels, hidden)
        nn.init.zeros_(self.second.weight)


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    if x.is_cuda:
        return layer(x)  # type: ignore[no-any-return]
    return _Linear.apply(x, layer.weight, layer.bias)  # type: ignore[no-any-return, no-untyped-call]


class _Linear(torch.autograd.Function):
    """`F.linear`, with a gradient of the weights that takes all cores of the processor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return gradient @ weight, _weight_gradient(gradient, x), gradient.sum(dim=0)


def _add_product(total: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    if total.is_cuda:
        return torch.addmm(total, y, weight.T)
    return _AddProduct.apply(total, y, weight)  # type: ignore[no-any-return, no-untyped-call]


class _AddProduct(torch.autograd.Function):
    """`total + y weight.T`, in place."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(y, weight)
        ctx.mark_dirty(total)
        return total.addmm_(y, weight.T)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, weight = ctx.saved_tensors
        return gradient, gradient @ weight, _weight_gradient(gradient, y)


def _weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """`gradient.T @ x` over many rows, in parts, because one product with few columns would run on one core."""
    whole = len(x) // PARTS * PARTS
    parts = [t[:whole].view(PARTS, -1, t.shape[1]) for t in (gradient, x)]
    return (parts[0].mT @ parts[1]).sum(dim=0).addmm_(gradient[whole:].T, x[whole:])


def _add_relu(
    total: Tensor, scale: Tensor, offsets: Tensor, along: Tensor, own: Tensor, index: int, out: Tensor
) -> None:
    """`out <- relu(scale total + along^T p + own[:, index])`, a row for each offset p (q, m, 3); own is (q, .., H)."""
    if total.device.type == "cpu":
        _add_relu_rows(total.numpy(), scale.numpy(), offsets.numpy(), along.numpy(), own.numpy(), index, out.numpy())
    else:
        out.copy_(F.relu(total * scale + (offsets @ along + own[:, index, None]).flatten(0, 1)))


@numba.njit(parallel=True, fastmath={"contract", "nsz"}, cache=True)
def _add_relu_rows(total, scale, offsets, along, own, index, out):  # type: ignore[no-untyped-def]
    zero = np.float32(0)
    for i in numba.prange(len(offsets)):
        for j in range(offsets.shape[1]):
            x, y, z = offsets[i, j, 0], offsets[i, j, 1], offsets[i, j, 2]
            row = i * offsets.shape[1] + j
            for c in range(len(scale)):
                v = scale[c] * total[row, c] + own[i, index, c] + x * along[0, c] + y * along[1, c] + z * along[2, c]
                out[row, c] = zero if v < zero else v  # what is not a number stays so
