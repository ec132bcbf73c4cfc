"""Dropout: y = x / (1 − rate) where a random bit says keep, 0 elsewhere.

The bits are a function of a key and a step (random.py), so nothing is kept for the backward pass: the gradient is dropout
of the cotangent with the same key and step. Source: Srivastava et al. 2014; scaled in training, so that inference does nothing.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.geometry import integer
from tinygradconv.ops.random import word64
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor


@primitive
def _dropout(be: Any, x: Any, *, rate: float, key: int, step: int, before: int = 0) -> Any:
    """`before`: the elements of the whole array that precede those of x; the kernel counts from its first, so they are gone through."""
    y = be.empty(x.shape, x.dtype)
    if not before:
        be.run("dropout", x.reshape(-1), y.reshape(-1), rate, key, step)
        return y
    values, whole = (be.empty((before + x.size,), x.dtype) for _ in range(2))
    be.run("copy", be.constant(np.zeros((), x.dtype)), values[:before])
    be.run("copy", x.reshape(-1), values[before:])
    be.run("dropout", values, whole, rate, key, step)
    be.run("copy", whole[before:], y.reshape(-1))
    return y


_dropout.vjp(x=lambda g, rate, key, step, before: _dropout(g, rate=rate, key=key, step=step, before=before))
_dropout.name = "dropout"


@numpy_names
def dropout(x: Any, rate: float, *, key: int, step: int, first_row: int = 0) -> Tensor:
    """y[e] = x[e] / (1 − rate) with probability 1 − rate, else 0: e is dropped where random_bits(key, step)[e] < rate · 2³².

    The same key and step drop the same values, on every device: give each layer a key of its own (key_of) and count steps. Where x is
    the rows from `first_row` on of a larger array, e counts from that one's first element, so that parts drop what the whole drops.
    `rate` 0 returns x; ValueError unless 0 ≤ rate < 1. Integers give float32.
    """
    (x,) = floating_tensors("dropout", ("x",), (x,))
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 <= rate < 1:
        raise ValueError(f"dropout: rate must be at least 0 and less than 1, the share that is dropped, got {rate!r}")
    key, step = word64("dropout", "key", key), word64("dropout", "step", step)
    first_row = integer("first_row", first_row, at_least=0, where="dropout")
    return x if rate == 0 else _dropout(x, rate=float(rate), key=key, step=step, before=first_row * math.prod(x.shape[1:]))
