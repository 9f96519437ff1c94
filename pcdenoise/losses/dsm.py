"""Denoising score matching on pairs of noisy and clean points."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PairedDSM:
    """Denoising score matching (Vincent, Neural Computation 2011, eq. 10), with a term for the surface itself.

        loss_i = ( |D_i - y_i|^2 / 3  +  w (n_i . (D_i - c_i))^2 ) / (sigma^2 + (f s_i)^2)

    With `score = (D - x) / sigma^2` the first term is `sigma^2 |score + (x - y) / sigma^2|^2 / 3`, DSM with weight
    `sigma^2`. `c_i` is the clean point nearest to `D_i` and `n_i` its normal: averaging over clean points pulls inwards
    on curved surfaces, the second term takes the prediction back onto the surface. `f` keeps noise far below the local
    spacing `s_i`, which nothing can remove, from filling the loss.

    Args:
        surface_weight: w.
        floor: f, in local spacings.
    """

    surface_weight: float = 3.0
    floor: float = 0.2

    def __call__(
        self, denoised: Tensor, clean: Tensor, nearest: Tensor, normals: Tensor, sigma: Tensor, spacing: Tensor
    ) -> Tensor:
        """Loss per point, (n,). Points, clean, nearest, normals are (n, 3); sigma and spacing (n, 1), one unit."""
        paired = (denoised - clean).square().sum(dim=1) / 3
        surface = (normals * (denoised - nearest)).sum(dim=1).square()
        scale = sigma.square() + (self.floor * spacing).square()
        return (paired + self.surface_weight * surface) / scale[:, 0]
