"""Pooling along one axis by windows that are listed: window i covers the places starts[i] … ends[i] − 1; windows may overlap."""
from __future__ import annotations

import numpy as np


def adaptive_mean(x, starts, ends, scale, y):
    """y[a, i, b] = scale[i] · Σ x[a, p, b] over the places p of window i.

    x, y                 (A, P, B) and (A, I, B); y filled
    starts, ends, scale  (I,); no window is empty
    """
    for i, (start, end) in enumerate(zip(starts, ends)):
        y[:, i] = x[:, start:end].sum(1, dtype=np.float64) * scale[i]


def adaptive_spread(g, starts, ends, scale, x):
    """x[a, p, b] = Σ scale[i] · g[a, i, b] over the windows i that cover the place p: the adjoint of adaptive_mean.

    g, x                 (A, I, B) and (A, P, B); x filled
    starts, ends, scale  (I,)
    """
    x[...] = 0
    for i, (start, end) in enumerate(zip(starts, ends)):
        x[:, start:end] += g[:, i, None] * scale[i]


def adaptive_max(x, starts, ends, y, where):
    """y[a, i, b] = max x[a, p, b] over the places p of window i, and where[a, i, b], the first such place's position in x.ravel().

    x, y, where   (A, P, B), (A, I, B) and (A, I, B); y and where (int64) filled; NaN beats every number
    starts, ends  (I,); no window is empty
    """
    A, P, B = x.shape
    corner = np.arange(A)[:, None] * (P * B) + np.arange(B)             # of place 0
    for i, (start, end) in enumerate(zip(starts, ends)):
        where[:, i] = corner + (start + x[:, start:end].argmax(1)) * B
    y[...] = x.reshape(-1)[where]
