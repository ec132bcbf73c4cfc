"""The mean and deviation of images, by channel: what a data set is normalised with."""
from __future__ import annotations

import numpy as np

CHUNK = 1 << 21                # values that become float64 at a time; all at once could be larger than the memory


def mean_and_deviation(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """mean_c = Σ x / n,  deviation_c = √(Σ (x − mean_c)² / n),  over all pixels of images (N, H, W, C), in float64.

    A channel that is the same everywhere has nothing to be scaled by: its deviation is given as 1.
    """
    N, H, W, C = images.shape
    step = max(1, CHUNK // (H * W * C))
    chunks = [images[at:at + step] for at in range(0, N, step)]
    mean = sum(chunk.sum((0, 1, 2), dtype=np.float64) for chunk in chunks) / (N * H * W)
    deviation = np.sqrt(sum(((chunk - mean) ** 2).sum((0, 1, 2)) for chunk in chunks) / (N * H * W))
    return tuple(map(float, mean)), tuple(float(d) if d > 1e-7 * abs(m) else 1.0 for m, d in zip(mean, deviation))
