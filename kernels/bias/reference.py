"""The gradient of what is added to every row: column sums, of the cotangent before the activation."""
from __future__ import annotations

import numpy as np


def bias_backward(g, y, dz, dbias, activation):
    """dz = g · act'(z), dbias = Σ dz over the M rows, for y = act(z), z = … + bias. relu' is 1 where y > 0, tanh' = 1 − y².

    g      (M, C)
    y      (M, C), or None where there is no activation (0)
    dz     (M, C), filled; or None where it is not wanted or is g itself
    dbias  (C,), filled; or None where it is not wanted
    """
    sloped = g if activation == 0 else np.where(y > 0, g, 0) if activation == 1 else g * (1 - y * y)
    if dz is not None:
        dz[...] = sloped
    if dbias is not None:
        dbias[...] = sloped.sum(0, dtype=np.float64)
