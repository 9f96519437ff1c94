"""Analytic densities blurred by Gaussian noise, whose scores, denoisers and log-densities are known exactly.

Each is a `ScoreField`: called with x (n, d) and sigma (n, 1) it returns `grad log q_sigma(x)`, (n, d), where q_sigma is
the clean density convolved with N(0, sigma^2 I). The dtype is that of x. Rows are independent of each other.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


class Oracle:
    """What all of them share."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Score of the blurred density, (n, d)."""
        raise NotImplementedError

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Expected clean position given the noisy one, (n, d), by Tweedie's formula."""
        return x + sigma**2 * self(x, sigma)


@dataclass(frozen=True, eq=False)
class Gaussian(Oracle):
    """N(mean, covariance), blurred: N(mean, covariance + sigma^2 I).

    Args:
        mean: (d,).
        covariance: (d, d), positive semidefinite: a flat or a point-like cloud is one too.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def isotropic(cls, variance: float, dimension: int = 3) -> "Gaussian":
        """N(0, variance I) in float64."""
        return cls(torch.zeros(dimension).double(), variance * torch.eye(dimension).double())

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d)."""
        variances, axes = torch.linalg.eigh(self.covariance)
        z = torch.randn(n, len(self.mean), generator=generator, dtype=self.mean.dtype)
        return self.mean + (z * variances.clamp(min=0).sqrt()) @ axes.T

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log q_sigma(x), (n,)."""
        along, variances, _ = self._principal(x, sigma)
        return -0.5 * (along**2 / variances + (2 * math.pi * variances).log()).sum(dim=1)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        along, variances, axes = self._principal(x, sigma)
        return -(along / variances) @ axes.T

    def _principal(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        variances, axes = torch.linalg.eigh(self.covariance.to(x))
        return (x - self.mean.to(x)) @ axes, variances.clamp(min=0) + sigma**2, axes


@dataclass(frozen=True, eq=False)
class Mixture(Oracle):
    """sum_k w_k N(mean_k, v_k I), blurred: each v_k grows by sigma^2.

    Args:
        means: (m, d).
        variances: (m,), from 0.
        weights: (m,), summing to 1.
    """

    means: Tensor
    variances: Tensor
    weights: Tensor

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, d)."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        return self.means[which] + self.variances[which, None].sqrt() * z

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log q_sigma(x), (n,)."""
        return torch.logsumexp(self._log_parts(x, sigma), dim=1)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        share = torch.softmax(self._log_parts(x, sigma), dim=1) / (self.variances.to(x) + sigma**2)
        return (share[:, :, None] * (self.means.to(x) - x[:, None])).sum(dim=1)

    def _log_parts(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log w_k N(x; mean_k, v_k + sigma^2), (n, m)."""
        variances = self.variances.to(x) + sigma**2
        squares = (x[:, None] - self.means.to(x)).square().sum(dim=2)
        normalisation = 0.5 * x.shape[1] * (2 * math.pi * variances).log()
        return self.weights.to(x).log() - squares / (2 * variances) - normalisation


@dataclass(frozen=True, eq=False)
class Plane(Oracle):
    """An endless, evenly filled plane `normal . x = offset`; densities are per area of the plane.

    Args:
        normal: (d,) unit vector.
        offset: distance of the plane from the origin.
    """

    normal: Tensor
    offset: float = 0.0

    @classmethod
    def level(cls) -> "Plane":
        """z = 0 in float64."""
        return cls(torch.tensor([0.0, 0.0, 1.0]).double())

    def distance(self, x: Tensor) -> Tensor:
        """Signed distance (n,)."""
        return (x * self.normal.to(x)).sum(dim=1) - self.offset

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log q_sigma(x), (n,)."""
        return -0.5 * self.distance(x) ** 2 / sigma[:, 0] ** 2 - (math.sqrt(2 * math.pi) * sigma[:, 0]).log()

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return -self.distance(x)[:, None] * self.normal.to(x) / sigma**2


@dataclass(frozen=True, eq=False)
class Sphere(Oracle):
    """The evenly filled surface of a sphere in three dimensions.

    With k = r R / sigma^2 the clean direction given x follows von Mises and Fisher, so that
    `E[clean | x] = R (coth k - 1 / k) x / r` and `log q = -3/2 log(2 pi sigma^2) - (r^2 + R^2) / (2 sigma^2)
    + log(sinh(k) / k)`.

    Args:
        centre: (3,).
        radius: R.
    """

    centre: Tensor
    radius: float

    @classmethod
    def centred(cls, radius: float) -> "Sphere":
        """Around the origin, in float64."""
        return cls(torch.zeros(3).double(), radius)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Clean points (n, 3)."""
        z = torch.randn(n, 3, generator=generator, dtype=self.centre.dtype)
        return self.centre + self.radius * z / z.norm(dim=1, keepdim=True)

    def distance(self, x: Tensor) -> Tensor:
        """Signed distance (n,), positive outside."""
        return (x - self.centre.to(x)).norm(dim=1) - self.radius

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log q_sigma(x), (n,)."""
        offset = self.distance(x)[:, None]
        k = (offset + self.radius) * self.radius / sigma**2
        # sinh(k) / k = exp(k) (1 - exp(-2 k)) / (2 k), and the exponents combine to the distance from the surface.
        shape = (-torch.expm1(-2 * k) / (2 * k)).log()
        return (-1.5 * (2 * math.pi * sigma**2).log() - offset**2 / (2 * sigma**2) + shape)[:, 0]

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        from_centre = x - self.centre.to(x)
        r = from_centre.norm(dim=1, keepdim=True)
        k = r * self.radius / sigma**2
        clean = self.radius * (1 / torch.tanh(k) - 1 / k) * from_centre / r
        return (clean - from_centre) / sigma**2
