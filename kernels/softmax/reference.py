"""The logarithm of softmax: probabilities over the last axis, in logarithms."""
from __future__ import annotations

import numpy as np


def log_softmax(x, y):
    """y[m, c] = x[m, c] − log Σ exp x[m, ·], with each row's maximum taken out first, so that nothing overflows.

    A −∞ stays −∞: its class has probability 0. A row that is all −∞, or holds +∞ or NaN, has no softmax and becomes NaN.

    x, y  (M, C); y filled
    """
    if x.size == 0:
        return
    with np.errstate(invalid="ignore"):                  # ∞ − ∞ is the NaN that is promised
        np.subtract(x, x.max(1, keepdims=True), out=y)
        y -= np.log(np.exp(y).sum(1, keepdims=True))
