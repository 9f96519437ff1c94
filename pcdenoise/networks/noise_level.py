"""A network that tells how noisy a cloud is."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.kernels.neighbourhood import NeighbourGraph
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.fused import LEAST_SURE, SUREST
from pcdenoise.networks.graphs import graph_at
from pcdenoise.patches import NoisyPatches

FAINTEST = 0.03  # local spacings; fainter noise is called that


class NoiseLevel(nn.Module):
    """The noise around each point, and how sure that is, from EdgeConv features of the noisy cloud.

        log sigma ~ Laplace(l_i, exp(a_i)),   l_i = log s_i + t_i,   (t, a) = head(F_T)

    with the local spacing `s`. The noise of a cloud is the median of `exp(l_i)`, weighted by `exp(-a_i)`. Having seen
    details, edges and thin walls, the network tells them from noise, or is not sure and counts little there.

    Args:
        channels, blocks, neighbours, neighbourhoods, hops: see `EdgeConvFeatures`.
    """

    def __init__(
        self,
        channels: int = 32,
        blocks: int = 3,
        neighbours: int = 32,
        neighbourhoods: tuple[int, ...] = (4, 8, 16, 32),
        hops: int = 3,
    ) -> None:
        super().__init__()
        self.features = EdgeConvFeatures(channels, blocks, neighbours, tuple(neighbourhoods), "none", hops=hops)
        self.hidden = nn.Linear(channels, channels)
        self.head = nn.Linear(channels, 2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, graph: NeighbourGraph) -> tuple[Tensor, Tensor]:
        """`l` and `a`, (m,) each, of the first `graph.sizes[-1]` rows, in the unit of the graph's spacing."""
        t, a = self.head(F.silu(self.hidden(self.features(graph, torch.ones_like(graph.spacing))))).unbind(dim=1)
        return t + graph.spacing[: len(t), 0].log(), a.clamp(SUREST, LEAST_SURE)

    def loss(self, patches: NoisyPatches, whole: float = 2.0) -> Tensor:
        """Negative log-likelihood of the core points, and `whole` times the error of the patches' weighted means.

            |l_i - log sigma| exp(-a_i) + a_i  +  whole | sum_i exp(-a_i) (l_i - log sigma) / sum_i exp(-a_i) |

        Without the second term the errors of many points that err alike are not seen to add up.
        """
        graph = graph_at(patches.noisy, self.features)
        level, a = self(graph)
        error = level - torch.maximum(patches.sigma, FAINTEST * graph.spacing)[:, 0].log()
        error, a = (rows[patches.core].view(patches.count, -1) for rows in (error, a))
        sureness = torch.exp(-a)
        mean = (sureness * error).sum(dim=1) / sureness.sum(dim=1)
        loss: Tensor = (error.abs() * sureness + a).mean() + whole * mean.abs().mean()
        return loss
