"""Images as a network gets them: centred and scaled, channel by channel."""
from __future__ import annotations

import numpy as np


def normalize(x, mean, deviation, y):
    """y[m, c] = (x[m, c] − mean[c]) / deviation[c], in float32.

    x                (M, C) uint8 or float32
    mean, deviation  (C,) float32
    y                (M, C) float32, filled
    """
    np.subtract(x, mean, out=y, dtype=np.float32)
    np.divide(y, deviation, out=y)
