"""How noisy a cloud is, as the networks are told it."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pcdenoise.denoisers.models import WEIGHTS, read_weights
from pcdenoise.errors import ModelError
from pcdenoise.geometry.neighbours import build_tree, query_tree
from pcdenoise.geometry.noise import estimate_noise, scattered
from pcdenoise.geometry.subsets import interleaved_subsets
from pcdenoise.networks.fused import FusedNoiseLevel, noise_level_shapes

ESTIMATOR = WEIGHTS / "estimators" / "noise_level.safetensors"
# Below this many spacings the noise cannot be told from the shape: such a cloud stays as it is.
CLEAN = 0.08
# Stronger noise, in spacings, is measured on a part of the points, of whose spacings it is about that much.
STRONG = 1.2
# Larger clouds are judged by patches, of which the inner points count.
PATCHES, PATCH_POINTS, CORE = 8, 2048, 0.6
LEAST_POINTS = 500
# Half of the shapes that it was trained on are thin walls; of other ones the network says a little less than there is.
CORRECTION = 1.02
SAMPLES = 300  # of the first estimate, which need not be exact


def noise_level(points: NDArray[np.float64]) -> float:
    """The standard deviation of the noise per coordinate, blind, by `NoiseLevel`: that has seen details and walls.

    Clouds that are clean by `estimate_noise`, which goes by their smoothest quarter, and those of less than 500 points
    get that.

    Args:
        points: (n, 3) in units of the cloud's spacing, finite, distinct.

    Raises:
        ModelError: the weights of `NoiseLevel` are missing or damaged.
    """
    estimate = estimate_noise(points, SAMPLES)
    if estimate < CLEAN or len(points) < LEAST_POINTS:
        return estimate
    subsets = max(1, min(round((estimate / STRONG) ** 2), len(points) // LEAST_POINTS))
    points = points[interleaved_subsets(points, subsets) == 0] if subsets > 1 else points
    network = _network()
    patches, core = [points], len(points)
    if len(points) > PATCHES * PATCH_POINTS:
        _, idx = query_tree(build_tree(points), scattered(points, PATCHES), PATCH_POINTS)
        patches, core = [points[rows] for rows in idx], round(CORE * PATCH_POINTS)
    answers = [network(patch) for patch in patches]
    level, error = (np.concatenate([answer[part][:core] for answer in answers]).astype(np.float64) for part in (0, 1))
    order = np.argsort(level, kind="stable")
    sureness = np.exp(-error[order]).cumsum()
    return CORRECTION * float(np.exp(level[order][np.searchsorted(sureness, sureness[-1] / 2)]))


@cache
def _network() -> FusedNoiseLevel:
    weights, header = read_weights(ESTIMATOR)
    network = header["network"]
    graph = {name: network[name] for name in ("neighbours", "neighbourhoods", "hops")}
    shapes = noise_level_shapes(network["channels"], network["blocks"], len(graph["neighbourhoods"]) + graph["hops"])
    if {name: its.shape for name, its in weights.items()} != shapes:
        raise ModelError(f"{ESTIMATOR} was made for another architecture; fetch or train the weights again")
    return FusedNoiseLevel(weights, **graph)
