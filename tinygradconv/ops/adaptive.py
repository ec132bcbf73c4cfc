"""Pooling whose windows follow from the result: to a wanted size, to one value, and across channels.

Adaptive pooling to OH rows puts window i on rows ⌊i·H/OH⌋ … ⌈(i+1)·H/OH⌉ − 1. Where OH divides H those are windows side
by side, and an image of the wanted size is passed on as it is; elsewhere they overlap and differ in length, and are listed.
A rectangle is pooled along its rows and then along its columns, each by its own list, so that nothing is copied out.
"""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.geometry import Pair, integer, pair
from tinygradconv.ops.gather import scatter_add_flat
from tinygradconv.ops.pool import avg_pool2d, max_pool2d
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.ops.windows import row_image, row_pair
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor

MOST_PLACES = 2**16          # along one axis; the windows are listed one by one


@lru_cache(maxsize=256)
def adaptive_windows(size: int, places: int) -> tuple[np.ndarray, np.ndarray]:
    """(starts, ends), each (places,): window i covers the cells ⌊i·size/places⌋ … ⌈(i+1)·size/places⌉ − 1."""
    i = np.arange(places)
    starts, ends = i * size // places, -(-(i + 1) * size // places)
    starts.flags.writeable = ends.flags.writeable = False            # remembered, so nobody may change them
    return starts, ends


# ---- along the middle axis of x (A, P, B)

@primitive
def adaptive_mean(be: Any, x: Any, *, size: int, places: int) -> Any:
    """y[a, i, b] = the mean of x[a, p, b] over the cells p of window i of adaptive_windows(size, places); x (A, size, B)."""
    starts, ends = adaptive_windows(size, places)
    y = be.empty((x.shape[0], places, x.shape[2]), x.dtype)
    be.run("adaptive_mean", x, be.constant(starts), be.constant(ends), be.constant((1 / (ends - starts)).astype(x.dtype)), y)
    return y


@primitive
def adaptive_spread(be: Any, g: Any, *, size: int, places: int) -> Any:
    """The adjoint of adaptive_mean: every window's cells share its cotangent."""
    starts, ends = adaptive_windows(size, places)
    x = be.empty((g.shape[0], size, g.shape[2]), g.dtype)
    be.run("adaptive_spread", g, be.constant(starts), be.constant(ends), be.constant((1 / (ends - starts)).astype(g.dtype)), x)
    return x


@primitive(byproducts=("where",))
def _adaptive_max(be: Any, x: Any, *, size: int, places: int) -> Any:
    """(y, where): the maximum of each window, and the flat position in x of the first cell that holds it."""
    starts, ends = adaptive_windows(size, places)
    shape = x.shape[0], places, x.shape[2]
    y, where = be.empty(shape, x.dtype), be.empty(shape, np.int64)
    be.run("adaptive_max", x, be.constant(starts), be.constant(ends), y, where)
    return y, where


adaptive_mean.vjp(x=lambda g, size, places: adaptive_spread(g, size=size, places=places))
adaptive_spread.vjp(g=lambda cotangent, size, places: adaptive_mean(cotangent, size=size, places=places))
_adaptive_max.vjp(x=lambda g, where, x_shape: scatter_add_flat(g, where, shape=x_shape))
_adaptive_max.name = "adaptive_max"


# ---- images

def _pooled(name: str, x: Any, output_size: Pair, even: Any, along: Any) -> Tensor:
    """`even` on windows side by side; otherwise `along` each row and then each column, the first maximum in row order thus being kept."""
    (x,) = floating_tensors(name, ("x",), (x,))
    if x.ndim != 4:
        raise ValueError(f"{name}: x must have four axes (N, H, W, C), got shape {x.shape}")
    OH, OW = pair("output_size", output_size, at_least=1, where=name)
    if max(OH, OW) > MOST_PLACES:
        raise ValueError(f"{name}: output_size must be at most {MOST_PLACES:,}, got {OH:,}×{OW:,}")
    N, H, W, C = x.shape
    if H < 1 or W < 1:
        raise ValueError(f"{name}: x has shape {x.shape}: an image of {H}×{W} has nothing to pool")
    if (H, W) == (OH, OW):
        return x                                                        # an image of the wanted size passes as it is
    if H % OH == 0 and W % OW == 0:
        return even(x, (H // OH, W // OW))
    if W != OW:
        x = along(x.reshape((N * H, W, C)), size=W, places=OW)
    if H != OH:
        x = along(x.reshape((N, H, OW * C)), size=H, places=OH)
    return x.reshape((N, OH, OW, C))


def _average(name: str, x: Any, output_size: Pair) -> Tensor:
    return _pooled(name, x, output_size, avg_pool2d, adaptive_mean)


def _maximum(name: str, x: Any, output_size: Pair) -> Tensor:
    return _pooled(name, x, output_size, max_pool2d, _adaptive_max)


def _along_a_row(pool: Any, name: str, x: Any, output_size: int) -> Tensor:
    """`pool` on the one axis of x (N, L, C), as an image of one row."""
    (x,) = floating_tensors(name, ("x",), (x,))
    y = pool(name, row_image(name, x), row_pair(name, "output_size", output_size, at_least=1, rows=1))
    return y.reshape((y.shape[0], *y.shape[2:]))


@numpy_names
def adaptive_avg_pool2d(x: Any, output_size: Pair) -> Tensor:
    """y[n, i, j, c] = the average of x over rows ⌊i·H/OH⌋ … ⌈(i+1)·H/OH⌉ − 1 and the like columns; x (N, H, W, C), y (N, OH, OW, C)."""
    return _average("adaptive_avg_pool2d", x, output_size)


@numpy_names
def adaptive_max_pool2d(x: Any, output_size: Pair) -> Tensor:
    """y[n, i, j, c] = the maximum of x over the windows of adaptive_avg_pool2d; the gradient goes to the first maximum in row order."""
    return _maximum("adaptive_max_pool2d", x, output_size)


@numpy_names
def adaptive_avg_pool1d(x: Any, output_size: int) -> Tensor:
    """adaptive_avg_pool2d along the one axis of x (N, L, C); y (N, OL, C)."""
    return _along_a_row(_average, "adaptive_avg_pool1d", x, output_size)


@numpy_names
def adaptive_max_pool1d(x: Any, output_size: int) -> Tensor:
    """adaptive_max_pool2d along the one axis of x (N, L, C); y (N, OL, C)."""
    return _along_a_row(_maximum, "adaptive_max_pool1d", x, output_size)


def _one_row(name: str, x: Any) -> Tensor:
    """x (N, …, C) as (N, 1, L, C): all the places of an image in one row."""
    (x,) = floating_tensors(name, ("x",), (x,))
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        raise ValueError(f"{name}: x must be (N, …, C) with at least one axis of places in between, none of length 0, got shape {x.shape}")
    return x.reshape((x.shape[0], 1, int(np.prod(x.shape[1:-1])), x.shape[-1]))


@numpy_names
def global_avg_pool(x: Any) -> Tensor:
    """y[n, c] = the mean of x[n, …, c] over all places; x (N, …, C), y (N, C). Source: Lin, Chen and Yan 2013, "Network in network"."""
    x = _one_row("global_avg_pool", x)
    return avg_pool2d(x, (1, x.shape[2])).reshape((x.shape[0], x.shape[3]))


@numpy_names
def global_max_pool(x: Any) -> Tensor:
    """y[n, c] = the maximum of x[n, …, c] over all places, the first among equals; x (N, …, C), y (N, C)."""
    x = _one_row("global_max_pool", x)
    return max_pool2d(x, (1, x.shape[2])).reshape((x.shape[0], x.shape[3]))


@numpy_names
def channel_max_pool(x: Any, size: int) -> Tensor:
    """y[…, k] = max x[…, size·k … size·k + size − 1]: over groups of neighbouring channels; x (…, C), y (…, C/size).

    Filters that were learned separately, for one shape under several rotations, say, answer as one: the result does not change when the
    shape turns. ValueError where size does not divide C. Source: Goodfellow et al. 2013, "Maxout networks".
    """
    name = "channel_max_pool"
    (x,) = floating_tensors(name, ("x",), (x,))
    size = integer("size", size, at_least=1, where=name)
    if x.ndim < 1 or x.shape[-1] % size or x.shape[-1] == 0:
        raise ValueError(f"{name}: size (={size}) must divide the number of channels on the last axis of x, which has shape {x.shape}")
    rows = int(np.prod(x.shape[:-1]))
    return max_pool2d(x.reshape((rows, 1, x.shape[-1], 1)), (1, size)).reshape((*x.shape[:-1], x.shape[-1] // size))
