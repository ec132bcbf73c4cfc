"""Enlarging images by bilinear interpolation."""
from __future__ import annotations

import numpy as np


def _weights(size: int, new_size: int) -> np.ndarray:
    """One row per new pixel: its weights on the old pixels of one axis, (new_size, size)."""
    at = np.clip((np.arange(new_size) + 0.5) * size / new_size - 0.5, 0, size - 1)
    before = np.minimum(at.astype(np.int64), max(size - 2, 0))
    rows = np.zeros((new_size, size))
    np.add.at(rows, (np.arange(new_size), before), 1 - (at - before))
    np.add.at(rows, (np.arange(new_size), np.minimum(before + 1, size - 1)), at - before)
    return rows


def bilinear(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """images (N, H, W, C) at height × width: pixel i of the new axis looks at (i + ½) · size / new_size − ½ of the old, float32.

    Pixel centres lie at halves (PyTorch's align_corners=False); beyond the first and last centre the border pixel
    goes on. Each new pixel is a weighted mean of the two old ones around it along each axis; nothing is smoothed when shrinking.
    """
    _, H, W, _ = images.shape
    rows, columns = _weights(H, height), _weights(W, width)
    x = np.einsum("ih,nhwc->niwc", rows, images.astype(np.float64), optimize=False)
    return np.einsum("jw,niwc->nijc", columns, x, optimize=False).astype(np.float32)
