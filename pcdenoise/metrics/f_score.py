"""F-score: the share of a surface that is right up to a tolerance."""

import numpy as np

from pcdenoise.metrics.comparison import Comparison

THRESHOLD = 0.02  # R: 1 % of the diameter


def f_score(pair: Comparison, threshold: float = THRESHOLD) -> float:
    """Harmonic mean of precision and recall, 0 to 1.

        P = share of x with min_y |x - y| < t,    R = share of y with min_x |x - y| < t,    F = 2 P R / (P + R)

    Knapitsch et al., "Tanks and Temples" (TOG 2017); the threshold of 1 % of the size follows Tatarchenko et al.,
    "What Do Single-view 3D Reconstruction Networks Learn?" (CVPR 2019). It asks for clouds denser than the threshold.

    Args:
        pair: result and clean cloud.
        threshold: t, in R of the clean cloud, above 0.
    """
    precision, recall = np.mean(pair.to_clean < threshold), np.mean(pair.to_result < threshold)
    return float(2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0
