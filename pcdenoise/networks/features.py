"""EdgeConv features `F_T` of a noisy cloud."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pcdenoise.errors import UsageError
from pcdenoise.kernels import edgeconv_numba
from pcdenoise.kernels.array_graph import EDGE_FEATURES, MOMENTS
from pcdenoise.kernels.gather_max import gather_max
from pcdenoise.kernels.neighbourhood import NeighbourGraph
from pcdenoise.networks.edgeconv import EdgeConvBlock, by_pieces, fused, in_arrays
from pcdenoise.networks.embedding import sigma_embedding

CONDITIONING = ("none", "input", "film")


class EdgeConvFeatures(nn.Module):
    """Features of each point from its neighbourhoods and a chain of EdgeConv blocks.

    Everything the network sees is measured in local spacings, so scale and position of the cloud do not matter.

    Args:
        channels: width C.
        blocks: number of EdgeConv blocks.
        neighbours: k of the graph.
        neighbourhoods: neighbour counts whose moments are the input.
        hops: so many wider neighbourhoods besides, see `with_wider_moments`.
        noisy: whether the moments of the noisy positions are input, too, see `with_noisy_moments`.
        conditioning: how the noise level, embedded by `sigma_embedding`, comes in: `none` leaves it out, `input` adds
            it to the input of the first block, `film` scales and shifts the features in every block (Perez et al.,
            "FiLM", 2018).
        received: width of the features handed over by the stage before, 0 where there is none.
        embedding: width of the embedding of the noise level.

    Attributes:
        recomputed: whether the backward pass computes the activations of each part again instead of keeping them
            (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). The result is the same to the bit.

    Raises:
        UsageError: an unknown `conditioning`.
    """

    def __init__(
        self,
        channels: int,
        blocks: int,
        neighbours: int,
        neighbourhoods: tuple[int, ...],
        conditioning: str,
        received: int = 0,
        embedding: int = 16,
        hops: int = 0,
        noisy: bool = False,
    ) -> None:
        if conditioning not in CONDITIONING:
            raise UsageError(f"network.conditioning is {conditioning!r}; give one of {', '.join(CONDITIONING)}")
        super().__init__()
        self.neighbours, self.neighbourhoods, self.embedding = neighbours, tuple(neighbourhoods), embedding
        self.channels, self.conditioning, self.hops, self.noisy = channels, conditioning, hops, noisy
        self.moments = nn.Linear(MOMENTS * self.scales, channels)
        self.noise = nn.Linear(embedding, channels) if conditioning == "input" else None
        self.edge = nn.Parameter(torch.randn(EDGE_FEATURES, channels))
        self.mix = nn.Linear(2 * channels + received, channels)
        film = embedding if conditioning == "film" else 0
        self.blocks = nn.ModuleList(EdgeConvBlock(channels, film=film) for _ in range(blocks))
        self.norm = nn.LayerNorm(channels)
        self.recomputed = False

    @property
    def layers(self) -> int:
        """Rings of neighbours that a feature depends on."""
        return len(self.blocks) + 1 + self.hops

    @property
    def scales(self) -> int:
        """Neighbourhoods whose moments it sees."""
        count = len(self.neighbourhoods) + self.hops
        return 2 * count + 1 if self.noisy else count

    def forward(self, graph: NeighbourGraph, relative: Tensor, received: Tensor | None = None) -> Tensor:
        """Features (m, C) of the first `graph.sizes[-1]` rows.

        Args:
            graph: neighbourhoods of the noisy cloud.
            relative: (n, 1) noise in local spacings, for all rows of the graph.
            received: (n, received) features from the stage before.
        """
        first = graph.sizes[0]
        given = relative.new_empty(first, 0) if received is None else received[:first]
        noise = sigma_embedding(relative[:first], self.embedding)
        x = self.inputs(noise, graph.moments[:first], graph.edges[:first], given)
        for block, size in zip(self.blocks, graph.sizes[1:], strict=True):
            x = self._kept(block, x, graph.idx[:size], graph.edges[:size], noise[: len(x)])
        if fused((self.channels,), x, self.norm.weight):
            result: Tensor = in_arrays(edgeconv_numba.normed, self._weights("norm"), x)
            return result
        return by_pieces(self.norm, x)

    def inputs(self, noise: Tensor, moments: Tensor, edges: Tensor, received: Tensor) -> Tensor:
        """What the first block is given (n, C), from the embedded noise (n, embedding) and so many rows of a graph."""
        columns = (noise, moments, edges, received)
        if not fused((self.channels, received.shape[1]), *columns, self.mix.weight):
            return by_pieces(self._input, *columns)
        own = self._weights("moments", "noise", "edge", "mix")
        result: Tensor = in_arrays(edgeconv_numba.inputs, own, *columns)
        return result

    def _weights(self, *parts: str) -> dict[str, Tensor]:
        return {name: its for name, its in self.named_parameters() if name.startswith(parts)}

    def _kept(self, part: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """A part of the network, of which the inputs alone are kept for the backward pass if it is `recomputed`."""
        if self.recomputed and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]
        return part(*inputs)

    def _input(self, noise: Tensor, moments: Tensor, edges: Tensor, received: Tensor) -> Tensor:
        inputs = self.moments(moments.flatten(1))
        if self.noise is not None:
            inputs = inputs + self.noise(noise)
        itself = torch.zeros(edges.shape[:2], dtype=torch.int32, device=edges.device)
        shape = gather_max(edges.new_zeros(1, self.edge.shape[1]), itself, edges, self.edge)
        return self.mix(F.silu(torch.cat([inputs, shape, received], dim=1)))  # type: ignore[no-any-return]
