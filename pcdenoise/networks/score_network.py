"""What training and the denoising engines ask of a network."""

from abc import abstractmethod
from collections.abc import Iterator

from torch import Tensor, nn

from pcdenoise.patches import NoisyPatches
from pcdenoise.score import ScoreField


class ScoreNetwork(nn.Module):
    """A network that is a score model.

    Attributes:
        offers: what it can do, see `pcdenoise.score`.
    """

    offers: frozenset[str]

    @abstractmethod
    def fields(self, patches: NoisyPatches) -> Iterator[tuple[Tensor, ScoreField]]:
        """Where the cloud stands, (n, 3), and its score field; for a chain of stages one pair for each in turn.

        Whoever takes a field asks it there before taking the next one, because the next stage goes on from the answer.
        """
