"""An experiment in the plane: scores learned at one noise level, and at a ladder of them, far away from the data.

Score matching weighs the error of a score by the density of the data: where there are none, any answer is as good (Song
& Ermon 2019, section 3.2). A ladder of noise levels brings data everywhere. Both networks here have the same start,
shape, number of steps and samples; they differ in the levels that their samples are blurred by.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from oracles import Mixture
from torch import Tensor, nn

from pcdenoise.samplers.annealed_langevin import AnnealedLangevin
from pcdenoise.samplers.langevin import Langevin
from pcdenoise.schedules import Geometric

MIXTURE = Mixture(
    torch.tensor([[-3.0, -2.0], [3.0, -2.0], [0.0, 3.5]]),
    torch.tensor([0.04, 0.04, 0.04]),
    torch.tensor([0.5, 0.3, 0.2]),
)
LADDER = Geometric(lowest=0.15, highest=8.0, count=10)
STEPS, BATCH = 1200, 256
CHAIN = 500  # steps of Langevin dynamics, for both


class ScoreMLP(nn.Module):
    """`score(x, sigma) = f(x, log sigma) / sigma`, a field for samplers."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        inner = (nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.layers = nn.Sequential(nn.Linear(3, hidden), nn.SiLU(), *inner, nn.Linear(hidden, 2))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.layers(torch.cat([x / 4, sigma.log()], dim=1)) / sigma


def train(levels: Tensor, seed: int) -> ScoreMLP:
    """Denoising score matching with weight sigma^2 (Vincent 2011; Song & Ermon 2019, eq. 6) at levels (L,)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ScoreMLP()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        sigma = levels[torch.randint(len(levels), (BATCH, 1), generator=generator)]
        z = torch.randn(BATCH, 2, generator=generator)
        noisy = MIXTURE.sample(BATCH, generator) + sigma * z
        loss = (sigma * network(noisy, sigma) + z).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.requires_grad_(False)


@dataclass(frozen=True)
class LowDensity:
    """Both networks, trained from a seed, and what is asked of them."""

    seed: int = 0

    @cached_property
    def single(self) -> ScoreMLP:
        """Trained at the lowest level alone."""
        return train(torch.tensor([LADDER.lowest]), self.seed)

    @cached_property
    def conditional(self) -> ScoreMLP:
        """Trained at all levels of the ladder and told which."""
        return train(torch.from_numpy(LADDER.sigmas()).float(), self.seed)

    def errors(self, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each network at x (n, 2): error of its score and the true score, both (n, 2).

        `single` and `told the lowest level` are asked for the score of the lowest level, `told the likely level` for
        that of the level at which x is likeliest, where annealed Langevin dynamics would pass it.
        """
        lowest, likely = torch.full((len(x), 1), LADDER.lowest), likely_level(x)
        asked = {
            "single": (self.single, lowest),
            "told the lowest level": (self.conditional, lowest),
            "told the likely level": (self.conditional, likely),
        }
        return {
            name: (network(x, sigma) - MIXTURE(x, sigma), MIXTURE(x, sigma)) for name, (network, sigma) in asked.items()
        }

    def chains(self, n: int) -> dict[str, list[Tensor]]:
        """Positions (n, 2) from far away down to the data, by `CHAIN` steps with each network."""
        start = LADDER.highest * torch.randn(n, 2, generator=torch.Generator().manual_seed(self.seed))
        annealed = AnnealedLangevin(LADDER, CHAIN // LADDER.count, step=0.5, denoise=False)
        plain = Langevin(CHAIN, step=math.sqrt(0.5), denoise=False)
        ways = {
            "single": plain(self.single, start, torch.full((n, 1), LADDER.lowest), self._generator()),
            "exact": plain(MIXTURE, start, torch.full((n, 1), LADDER.lowest), self._generator()),
            "conditional": annealed(self.conditional, start, torch.full((n, 1), LADDER.highest), self._generator()),
        }
        return {name: [start, *way] for name, way in ways.items()}

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed + 1)


def likely_level(x: Tensor) -> Tensor:
    """The level of the ladder at which x (n, 2) is likeliest, (n, 1)."""
    levels = torch.from_numpy(LADDER.sigmas()).float()
    densities = torch.stack([MIXTURE.log_density(x, level.expand(len(x), 1)) for level in levels])
    return levels[densities.argmax(dim=0)][:, None]


def rarity(x: Tensor) -> Tensor:
    """r (n,), where the density of the data, blurred by the lowest level, is `exp(-r^2 / 2)` of its largest."""
    lowest = torch.full((1, 1), LADDER.lowest)
    largest = MIXTURE.log_density(MIXTURE.means, lowest).max()
    return (2 * (largest - MIXTURE.log_density(x, lowest)).clamp(min=0)).sqrt()


def relative_error(error: Tensor, truth: Tensor) -> float:
    """Root mean square of the error over that of the true score."""
    return (error.square().sum().sqrt() / truth.square().sum().sqrt()).item()


def shares(x: Tensor) -> Tensor:
    """Share of the points (n, 2) that lie within three standard deviations of each mode, (3,)."""
    distances, nearest = torch.cdist(x, MIXTURE.means).min(dim=1)
    spread = math.sqrt(MIXTURE.variances[0].item() + LADDER.lowest**2)
    return torch.bincount(nearest[distances < 3 * spread], minlength=3) / len(x)


def grid(half: float, count: int) -> Tensor:
    """A square grid around the origin, (count^2, 2), x rising fastest last."""
    axis = torch.linspace(-half, half, count)
    return torch.cartesian_prod(axis, axis)
