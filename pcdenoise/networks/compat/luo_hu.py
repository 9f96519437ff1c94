"""The network of Luo & Hu, "Score-Based Point Cloud Denoising" (ICCV 2021), as its authors published it."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from pcdenoise.networks.compat.dense_edge_conv import DenseEdgeConv
from pcdenoise.networks.compat.residual_score import ResidualScore
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.patches import NoisyPatches
from pcdenoise.score import LocalScoreField


class LuoHu(ScoreNetwork):
    """Features of each point of a patch, and the score around each point given its features.

        h_i = F(x / l)_i,    sigma^2 score_i(r) = l S((r - x_i) / l, h_i)

    F is a chain of dense EdgeConvs on dynamic graphs, S a residual network with batch normalisation. Positions are in
    the unit in which the network was trained; the published weights know clouds of 10,000 to 50,000 points in the unit
    sphere, in patches of 1,000. F sees where in its patch a point lies, so a patch is centred before. The published
    weights have l = 1. Displacements are some hundredths then, and S begins with answers far larger, which took its
    authors a million steps at a low rate to bring down; with l near the noise it learns from the first step.

    The architecture is Shitong Luo's and Wei Hu's; their code and weights are under the MIT licence
    (https://github.com/luost26/score-denoise).

    Args:
        convolutions: of F.
        width: of their inputs, W.
        growth: of their layers, G; features have W + 3 G channels.
        neighbours: k of the graphs.
        hidden: width of S.
        blocks: residual blocks of S.
        length: l.
    """

    def __init__(
        self,
        convolutions: int = 4,
        width: int = 24,
        growth: int = 12,
        neighbours: int = 16,
        hidden: int = 128,
        blocks: int = 4,
        length: float = 1.0,
    ) -> None:
        super().__init__()
        self.neighbours, self.channels, self.length = neighbours, width + 3 * growth, length
        self.transforms = nn.ModuleList(nn.Linear(self.channels if c else 3, width) for c in range(convolutions))
        self.convolutions = nn.ModuleList(
            DenseEdgeConv(width, growth, neighbours, relative=c == 0) for c in range(convolutions)
        )
        self.head = ResidualScore(self.channels, hidden, blocks)
        self.offers = frozenset({"local"})

    def features(self, patches: Tensor) -> Tensor:
        """Features (b, n, W + 3 G) of patches (b, n, 3), n > neighbours."""
        x = patches / self.length
        for c, (transform, convolution) in enumerate(zip(self.transforms, self.convolutions, strict=True)):
            x = transform(x)
            x = convolution(F.relu(x) if c else x)
        return x

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        """`sigma^2 score`, a displacement (q, m, 3), at offsets (q, m, 3) from points with features (q, W + 3 G)."""
        return self.length * self.head(features, offsets / self.length)  # type: ignore[no-any-return]

    def fields(self, patches: NoisyPatches) -> Iterator[tuple[Tensor, LocalScoreField]]:
        """The one field of a network without stages, and where its cloud stands."""
        noisy = patches.noisy.view(patches.count, -1, 3)
        features = self.features(centred(noisy))
        yield patches.noisy, LuoHuField(self, patches.noisy, features.view(-1, self.channels))


def centred(patches: Tensor) -> Tensor:
    """Patches (b, n, 3) around their means, as float32."""
    return (patches - patches.mean(dim=1, keepdim=True)).float()


@dataclass(frozen=True)
class LuoHuField:
    """The score field of patches.

    Attributes:
        network: the network.
        noisy: (n, 3) its patches, float64.
        features: (n, C) of them.
    """

    network: LuoHu
    noisy: Tensor
    features: Tensor

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.network(self.features, (x - self.noisy).float()[:, None])[:, 0] / sigma**2  # type: ignore[no-any-return]

    def at(self, rows: Tensor, offsets: Tensor, sigma: Tensor) -> Tensor:
        """See `LocalScoreField`."""
        return self.network(self.features[rows], offsets) / sigma[:, None] ** 2  # type: ignore[no-any-return]
