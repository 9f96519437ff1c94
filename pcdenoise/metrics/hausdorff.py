"""Hausdorff distance: the worst of a result, and what is left of it without the very worst."""

import numpy as np

from pcdenoise.metrics.comparison import Comparison


def hausdorff(pair: Comparison, percentile: float = 100.0) -> float:
    """The larger of the two directed distances, in R of the clean cloud.

        H_q = max( Q_q over x of min_y |x - y|,  Q_q over y of min_x |x - y| )

    with `Q_q` the q-th percentile, linear between ranks; the maximum for 100. One outlier decides H_100, which is why
    95 and 99 stand beside it (Huttenlocher et al., "Comparing Images Using the Hausdorff Distance", TPAMI 1993).

    Args:
        pair: result and clean cloud.
        percentile: above 0, at most 100.
    """
    return float(max(np.percentile(pair.to_clean, percentile), np.percentile(pair.to_result, percentile)))
