"""Values picked out by their flat positions, and the adjoint that adds them back."""
from __future__ import annotations

import numpy as np


def gather(x, where, y):
    """y[i] = x.flat[where[i]]; y is shaped like `where` (int64, in range)."""
    if where.size:
        np.take(x.reshape(-1), where, out=y, mode="clip")


def scatter_add(g, where, x):
    """x.flat[p] = Σ g[i] over the i with where[i] = p; zero where none points.

    Floating values are added in float64, in the order of i, and rounded once; integers exactly.
    """
    if x.dtype.kind == "f":
        x[...] = np.bincount(where.reshape(-1), g.reshape(-1), x.size).reshape(x.shape)
    else:
        x[...] = 0
        np.add.at(x.reshape(-1), where.reshape(-1), g.reshape(-1))
