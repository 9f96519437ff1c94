"""The networks that clean clouds on a CPU, from the fused layers alone: no torch, which takes longer to import than a
cloud takes to denoise.

What they compute is defined by the modules of the same weights, in `pcdenoise.networks.denoiser` and `.noise_level`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pcdenoise.checkpoint import select
from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels import edgeconv_numba
from pcdenoise.kernels.array_graph import (
    EDGE_FEATURES,
    MOMENTS,
    SPACING_NEIGHBOUR,
    ArrayGraph,
    array_graph,
    local_spacing,
    with_noisy_moments,
    with_wider_moments,
)

Arrays: TypeAlias = Mapping[str, NDArray[np.float32]]
Shapes: TypeAlias = dict[str, tuple[int, ...]]

EMBEDDING, EXPANSION = 16, 2  # of `EdgeConvFeatures` and its blocks
LOWEST, HIGHEST = 0.25, 4.0  # frequencies of the embedding, radians per unit of log sigma
SUREST, LEAST_SURE = -6.0, 3.0  # log of the scale of the error of `NoiseLevel`


class FusedFeatures:
    """`pcdenoise.networks.features.EdgeConvFeatures` with conditioning `none` or `input`, whose layers fit.

    Args:
        weights: by name.
        neighbours, neighbourhoods, hops, noisy: see `EdgeConvFeatures`.
    """

    def __init__(
        self, weights: Arrays, neighbours: int, neighbourhoods: Sequence[int], hops: int, *, noisy: bool = False
    ) -> None:
        self.neighbours, self.neighbourhoods = neighbours, tuple(neighbourhoods)
        self.hops, self.noisy = hops, noisy
        maps = edgeconv_numba.linear_maps(weights)
        self._own = {name: its for name, its in maps.items() if "blocks." not in name}
        count = 1 + max(int(name.split(".")[1]) for name in maps if "blocks." in name)
        self._blocks = [select(maps, f"blocks.{b}.") for b in range(count)]

    @property
    def layers(self) -> int:
        """Rings of neighbours that a feature depends on."""
        return len(self._blocks) + 1 + self.hops

    def __call__(
        self, graph: ArrayGraph, relative: NDArray[np.float32], received: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Features (m, C) of the first `graph.sizes[-1]` rows, see `EdgeConvFeatures`."""
        first = graph.sizes[0]
        given = np.empty((first, 0), np.float32) if received is None else received[:first]
        noise = _sigma_embedding(relative[:first])
        x = edgeconv_numba.inputs(noise, graph.moments[:first], graph.edges[:first], given, self._own)
        for block, size in zip(self._blocks, graph.sizes[1:], strict=True):
            x = edgeconv_numba.block(x, graph.idx[:size], graph.edges[:size], block)
        return edgeconv_numba.normed(x, self._own)

    def graph(
        self,
        points: NDArray[np.float64],
        idx: NDArray[np.int32],
        spacing: NDArray[np.float64],
        sizes: tuple[int, ...],
        noisy: NDArray[np.float64] | None = None,
    ) -> ArrayGraph:
        """The graph of some points with all moments that are looked at.

        Args:
            points, idx, spacing, sizes: see `array_graph`.
            noisy: where the points were, for features that see it.
        """
        graph = array_graph(points, idx, spacing, self.neighbourhoods, sizes)
        if not self.noisy:
            return with_wider_moments(graph, self.hops)
        assert noisy is not None
        return with_noisy_moments(graph, points, noisy, self.neighbourhoods, self.hops)


class FusedStage:
    """`pcdenoise.networks.denoiser.DenoisingStage`.

    Args:
        weights: by name.
        neighbours, neighbourhoods, hops, noisy: see `EdgeConvFeatures`.
    """

    def __init__(
        self, weights: Arrays, neighbours: int, neighbourhoods: Sequence[int], hops: int, *, noisy: bool = False
    ) -> None:
        self.features = FusedFeatures(select(weights, "features."), neighbours, neighbourhoods, hops, noisy=noisy)
        self._own = {name: its for name, its in edgeconv_numba.linear_maps(weights).items() if "features." not in name}
        self.handed_on = len(self._own["hand_on.bias"])
        self._conditioned = "features.noise.weight" in weights

    def __call__(
        self, graph: ArrayGraph, sigma: NDArray[np.float32], received: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Displacement and features of the first `graph.sizes[-1]` rows, see `DenoisingStage`."""
        relative, last = sigma / graph.spacing, graph.sizes[-1]
        x = self.features(graph, relative, received)
        own = relative if self._conditioned else np.ones_like(relative)
        return edgeconv_numba.answers(x, own[:last], graph.moments[:last], graph.spacing[:last], self._own)


class FusedNoiseLevel:
    """`pcdenoise.networks.noise_level.NoiseLevel`.

    Args:
        weights: by name.
        neighbours, neighbourhoods, hops: see `EdgeConvFeatures`.
    """

    def __init__(self, weights: Arrays, neighbours: int, neighbourhoods: Sequence[int], hops: int) -> None:
        self._features = FusedFeatures(select(weights, "features."), neighbours, neighbourhoods, hops)
        self._own = {name: its for name, its in edgeconv_numba.linear_maps(weights).items() if "features." not in name}

    def __call__(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`l` and `a`, (n,) each, of a whole cloud (n, 3), in its unit."""
        distances, idx = knn(points, self._features.neighbours)
        spacing = local_spacing(distances[:, SPACING_NEIGHBOUR - 1], idx)
        graph = self._features.graph(points, idx, spacing, (len(points),) * self._features.layers)
        x = self._features(graph, np.ones_like(graph.spacing))
        t, a = edgeconv_numba.head(x, self._own).T
        return t + np.log(graph.spacing[:, 0]), a.clip(SUREST, LEAST_SURE)


def stage_shapes(
    channels: int, blocks: int, scales: int, received: int, handed_on: int, *, conditioned: bool
) -> Shapes:
    """Shapes of the weights of a `DenoisingStage`, by name.

    Args:
        channels, blocks, received: see `EdgeConvFeatures`.
        scales: neighbourhoods whose moments it sees.
        handed_on: width of what it hands on.
        conditioned: whether the noise level is an input.
    """
    own = {"hidden": (channels, channels), "head": (9 * scales + 3, channels), "hand_on": (handed_on, channels)}
    features = features_shapes(channels, blocks, scales, received, conditioned=conditioned)
    return linear_shapes(own) | {f"features.{name}": its for name, its in features.items()}


def noise_level_shapes(channels: int, blocks: int, scales: int) -> Shapes:
    """Shapes of the weights of a `NoiseLevel`, by name."""
    features = features_shapes(channels, blocks, scales, conditioned=False)
    own = linear_shapes({"hidden": (channels, channels), "head": (2, channels)})
    return own | {f"features.{name}": its for name, its in features.items()}


def features_shapes(channels: int, blocks: int, scales: int, received: int = 0, *, conditioned: bool) -> Shapes:
    """Shapes of the weights of `EdgeConvFeatures`, by name; see `stage_shapes`."""
    linear = {"moments": (channels, MOMENTS * scales), "mix": (channels, 2 * channels + received)}
    if conditioned:
        linear["noise"] = (channels, EMBEDDING)
    wide = EXPANSION * channels
    block = linear_shapes(
        {"centre": (channels, channels), "out": (channels, channels)}
        | {"expand": (wide, channels), "reduce": (channels, wide)}
    )
    block |= {"neighbour.weight": (channels, channels), "edge": (EDGE_FEATURES, channels)}
    block |= {f"{norm}.{its}": (channels,) for norm in ("norm", "mlp_norm") for its in ("weight", "bias")}
    shapes = linear_shapes(linear)
    shapes |= {"edge": (EDGE_FEATURES, channels), "norm.weight": (channels,), "norm.bias": (channels,)}
    return shapes | {f"blocks.{b}.{name}": its for b in range(blocks) for name, its in block.items()}


def linear_shapes(widths: Mapping[str, tuple[int, int]]) -> Shapes:
    """Shapes of the weights of linear layers, by the widths (out, in) of each."""
    weights: Shapes = {f"{name}.weight": its for name, its in widths.items()}
    return weights | {f"{name}.bias": its[:1] for name, its in widths.items()}


def _sigma_embedding(sigma: NDArray[np.float32]) -> NDArray[np.float32]:
    """`pcdenoise.networks.embedding.sigma_embedding` of sigma (n, 1)."""
    frequencies = np.logspace(math.log10(LOWEST), math.log10(HIGHEST), EMBEDDING // 2, dtype=np.float32)
    angles = np.log(sigma) * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
