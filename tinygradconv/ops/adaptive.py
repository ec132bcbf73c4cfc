"""Pooling whose windows follow from the result: to a wanted size, to one value, and across channels.

Adaptive pooling to OH rows puts window i on rows ⌊i·H/OH⌋ … ⌈(i+1)·H/OH⌉ − 1. Where OH divides H those are windows side
by side, and an image of the wanted size is passed on as it is; elsewhere they overlap and differ in length, and the rows are
first copied out so that windows of the greatest length lie side by side.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.geometry import Pair, integer, pair
from tinygradconv.ops.elementwise import where
from tinygradconv.ops.pool import avg_pool2d, max_pool2d, sum_pool2d
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.ops.windows import floating_tensors, row_image, row_pair
from tinygradconv.tensor import Tensor


def adaptive_windows(size: int, places: int) -> tuple[np.ndarray, np.ndarray]:
    """(cells, inside), each (places, longest window): the cells of each window, and whether each is its own or a repeat of its last.

    Window i covers the cells ⌊i·size/places⌋ … ⌈(i+1)·size/places⌉ − 1.
    """
    i = np.arange(places)
    starts, ends = i * size // places, -(-(i + 1) * size // places)
    cells = starts[:, None] + np.arange((ends - starts).max())
    return np.minimum(cells, ends[:, None] - 1), cells < ends[:, None]


MOST_PLACES = 2**16          # along one axis; the windows are listed one by one


def _side_by_side(name: str, x: Any, output_size: Pair) -> tuple[Tensor, tuple[int, int], np.ndarray | None]:
    """(x copied out so that the windows lie side by side, their size, which cells are a window's own or None where all are)."""
    (x,) = floating_tensors(name, ("x",), (x,))
    if x.ndim != 4:
        raise ValueError(f"{name}: x must have four axes (N, H, W, C), got shape {x.shape}")
    OH, OW = pair("output_size", output_size, at_least=1, where=name)
    if max(OH, OW) > MOST_PLACES:
        raise ValueError(f"{name}: output_size must be at most {MOST_PLACES:,}, got {OH:,}×{OW:,}")
    H, W = x.shape[1:3]
    if H < 1 or W < 1:
        raise ValueError(f"{name}: x has shape {x.shape}: an image of {H}×{W} has nothing to pool")
    if H % OH == 0 and W % OW == 0:
        return x, (H // OH, W // OW), None
    (rows, rows_inside), (columns, columns_inside) = adaptive_windows(H, OH), adaptive_windows(W, OW)
    spread = x[:, rows.reshape(-1)][:, :, columns.reshape(-1)]
    return spread, (rows.shape[1], columns.shape[1]), (rows_inside.reshape(-1, 1) & columns_inside.reshape(-1))[..., None]


def _average(name: str, x: Any, output_size: Pair) -> Tensor:
    x, window, inside = _side_by_side(name, x, output_size)
    if inside is None:
        return x if window == (1, 1) else avg_pool2d(x, window)            # an image of the wanted size passes as it is
    counts = inside.reshape(inside.shape[0] // window[0], window[0], -1, window[1]).sum((1, 3))[..., None]
    return sum_pool2d(where(inside, x, 0), window) * (1 / counts).astype(x.dtype)


def _maximum(name: str, x: Any, output_size: Pair) -> Tensor:
    x, window, _ = _side_by_side(name, x, output_size)
    return x if window == (1, 1) else max_pool2d(x, window)            # a repeat never beats the cell that it repeats, which comes first


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
