"""Many values into one: sums, extremes, positions, running sums along axes."""
from __future__ import annotations

import numpy as np

REDUCE = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum, "any": np.logical_or, "all": np.logical_and}


def reduce(x, y, op, axes):
    """y = op over `axes` (a tuple) of x; y has length 1 there. op names a row of REDUCE; max and min of nothing are an error."""
    with np.errstate(all="ignore"):
        REDUCE[op].reduce(x, axis=axes, out=y, keepdims=True)


def arg_reduce(x, y, op, axis):
    """y = the position of the first maximum ("argmax") or minimum ("argmin") along `axis`; y has length 1 there."""
    y[...] = (np.argmax if op == "argmax" else np.argmin)(x, axis=axis, keepdims=True)


def cumulative_sum(x, y, axis, reverse):
    """y[i] = Σ x[j] for j ≤ i along `axis`, or j ≥ i with `reverse`."""
    if reverse:
        x, y = np.flip(x, axis), np.flip(y, axis)
    np.cumsum(x, axis=axis, out=y)
