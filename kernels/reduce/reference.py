"""Many values into one: sums, extremes, positions, running sums along axes."""
from __future__ import annotations

import math

import numpy as np

REDUCE = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum, "any": np.logical_or, "all": np.logical_and}
BLOCK = 128           # rows that are added one after another before their sum joins the others


@np.errstate(all="ignore")
def reduce(x, y, op, axes):
    """y = op over `axes` (a tuple) of x; y has length 1 there, or is without them. op names a row of REDUCE, or is "mean" (of floating x).

    Floating sums are added in blocks, and blocks of blocks, so that the rounding error hardly grows with the number of values. A mean is
    the sum, rounded, by the number of values, and NaN of nothing; max and min of nothing are an error.
    """
    if op == "mean":
        reduce(x, y, "sum", axes)
        np.divide(y, math.prod(x.shape[i] for i in axes), out=y)
    elif op == "sum" and x.dtype.kind == "f" and _long(x, axes):
        y[...] = _blocked_sum(x, axes).reshape(y.shape)
    else:
        REDUCE[op].reduce(x, axis=axes, out=y, keepdims=y.ndim == x.ndim)


def _long(x, axes):
    """Whether NumPy would add more than one block of values in a row; along a last, contiguous axis it adds in pairs instead."""
    last = x.ndim - 1
    pairs = last in axes and x.strides[last] == x.itemsize
    return math.prod(x.shape[i] for i in axes if not (pairs and i == last)) > BLOCK


def _blocked_sum(x, axes):
    """Σ x over `axes`, which keep length 1. Axes side by side are summed as one; the innermost ones go first, so that the rest is small."""
    axes = sorted(axes)
    while axes:
        stop = axes[-1] + 1
        start = axes.pop()
        while axes and axes[-1] == start - 1:
            start = axes.pop()
        before, after = x.shape[:start], x.shape[stop:]
        sums = _sum_middle(x.reshape(math.prod(before), math.prod(x.shape[start:stop]), math.prod(after)))
        x = sums.reshape(*before, *[1] * (stop - start), *after)
    return x


def _sum_middle(x):
    """Σ over the middle axis of (A, R, B), BLOCK rows at a time: NumPy's own loop adds one row of B contiguous values after another."""
    if x.shape[2] == 1:
        return np.ascontiguousarray(x[:, :, 0]).sum(1)        # contiguous values are added in pairs
    while x.shape[1] > BLOCK:
        A, R, B = x.shape
        whole = R // BLOCK * BLOCK
        sums = x[:, :whole].reshape(A, R // BLOCK, BLOCK, B).sum(2)
        x = np.concatenate([sums, x[:, whole:].sum(1, keepdims=True)], axis=1) if whole < R else sums
    return x.sum(1)


def extreme_backward(g, x, y, dx, axes):
    """dx = g where x is first, in row-major order over `axes`, the y that a maximum or minimum over them gave; 0 elsewhere.

    NaN is NaN's equal.

    g, y   of length 1 along `axes`, or without them
    x, dx  of one shape; dx filled
    """
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    lined, lengths = x.transpose(order), [x.shape[i] for i in order]
    R = math.prod(x.shape[i] for i in axes)
    rows, most, given = lined.reshape(-1, R), y.reshape(-1, 1), g.reshape(-1)
    back = np.zeros(rows.shape, dx.dtype)
    back[np.arange(len(rows)), ((rows == most) | (rows != rows) & (most != most)).argmax(1)] = given
    dx[...] = back.reshape(lengths).transpose(np.argsort(order))


@np.errstate(all="ignore")
def prod_backward(g, x, dx, axes):
    """dx = g times the product of all other values of x over `axes`: of those before it and those after it, with no division.

    g      of length 1 along `axes`, or without them
    x, dx  of one shape; dx filled
    """
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    lined, R = x.transpose(order), math.prod(x.shape[i] for i in axes)
    rows = lined.reshape(-1, R)
    before, after = np.ones(rows.shape), np.ones(rows.shape)
    np.cumprod(rows[:, :-1], axis=1, dtype=np.float64, out=before[:, 1:])
    np.cumprod(rows[:, :0:-1], axis=1, dtype=np.float64, out=after[:, -2::-1])
    back = g.reshape(-1, 1) * before * after
    dx[...] = back.reshape(lined.shape).transpose(np.argsort(order))


def arg_reduce(x, y, op, axis):
    """y = the position of the first maximum ("argmax") or minimum ("argmin") along `axis`; y has length 1 there."""
    (np.argmax if op == "argmax" else np.argmin)(x, axis=axis, out=y, keepdims=True)


def cumulative_sum(x, y, axis, reverse):
    """y[i] = Σ x[j] for j ≤ i along `axis`, or j ≥ i with `reverse`."""
    if reverse:
        x, y = np.flip(x, axis), np.flip(y, axis)
    np.cumsum(x, axis=axis, out=y)
