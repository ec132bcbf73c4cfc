"""Pooling: one value for each window. The maximum, and weighted sums of which the average is one.

    max_pool2d      y = max x over the window; the gradient goes to the first cell that holds the maximum
    avg_pool2d      y = Σ x / (cells inside the image)
    sum_pool2d      y = Σ x
    lp_pool2d       y = (Σ |x|ᵖ)^(1/p)
    distance_pool2d y = Σ w·x / Σ w, w falling with the distance from the central pixel

Two pairs of adjoint ops carry all the derivatives: pool_gather (read at the taps that were taken) with pool_scatter (add at
them), and window_sum with window_spread. Padding is never a value: it is not in the maximum, nor counted by an average.
"""
from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.geometry import Padding, Pair, WindowGeometry
from tinygradconv.ops.elementwise import abs, sqrt, square, where
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.ops.windows import row_image, row_padding, row_pair, window_geometry
from tinygradconv.promotion import floating_tensors
from tinygradconv.tensor import Tensor


@primitive(byproducts=("where",))
def _max_pool2d(be: Any, x: Any, *, geo: WindowGeometry) -> Any:
    """(y, where): the maximum of each window, and its tap, ky·kw + kx: one byte each in windows of at most 255 cells."""
    if geo.kh * geo.kw > 2 ** 31 - 1:
        raise ValueError(f"max_pool2d: a window of {geo.kh}×{geo.kw} cells is too large: taps are 32-bit. Pool in two steps")
    y, taps = be.empty(geo.y_shape, x.dtype), be.empty(geo.y_shape, np.uint8 if geo.kh * geo.kw <= 255 else np.int32)
    be.run("max_pool2d", x, y, taps, geo)
    return y, taps


@primitive
def pool_gather(be: Any, x: Any, where: Any, *, geo: WindowGeometry) -> Any:
    """y[n, oy, ox, c] = x[n] at the tap where[n, oy, ox, c] of its window: the adjoint of pool_scatter."""
    y = be.empty(geo.y_shape, x.dtype)
    be.run("pool_gather", x, where, y, geo)
    return y


@primitive
def pool_scatter(be: Any, g: Any, where: Any, *, geo: WindowGeometry) -> Any:
    """x[n] at a cell = Σ g[n, oy, ox, c] over the windows whose maximum stood there: the gradient of max pooling."""
    x = be.empty(geo.x_shape, g.dtype)
    be.run("pool_scatter", g, where, x, geo)
    return x


_max_pool2d.vjp(x=lambda g, where, geo: pool_scatter(g, where, geo=geo))
pool_gather.vjp(x=lambda g, where, geo: pool_scatter(g, where, geo=geo))
pool_scatter.vjp(g=lambda cotangent, where, geo: pool_gather(cotangent, where, geo=geo))
_max_pool2d.name = "max_pool2d"


@primitive
def window_sum(be: Any, x: Any, *, weights: np.ndarray, scale: np.ndarray, geo: WindowGeometry) -> Any:
    """y[n, oy, ox, c] = scale[oy, ox] · Σ weights[ky, kx] · x[…] over the window; weights and scale are constants."""
    y = be.empty(geo.y_shape, x.dtype)
    be.run("window_sum", x, be.constant(weights), be.constant(scale), y, geo)
    return y


@primitive
def window_spread(be: Any, g: Any, *, weights: np.ndarray, scale: np.ndarray, geo: WindowGeometry) -> Any:
    """Each window's scale · weights · g added to its cells: the adjoint of window_sum."""
    x = be.empty(geo.x_shape, g.dtype)
    be.run("window_spread", g, be.constant(weights), be.constant(scale), x, geo)
    return x


window_sum.vjp(x=lambda g, weights, scale, geo: window_spread(g, weights=weights, scale=scale, geo=geo))
window_spread.vjp(g=lambda cotangent, weights, scale, geo: window_sum(cotangent, weights=weights, scale=scale, geo=geo))


# ---- constant weights and scales, worked out once per geometry and dtype

@lru_cache(maxsize=256)
def _ones(geo: WindowGeometry, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Weights and scale of a sum."""
    return np.ones((geo.kh, geo.kw), dtype), np.ones((geo.OH, geo.OW), dtype)


@lru_cache(maxsize=256)
def _counts(geo: WindowGeometry, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Weights and scale of an average over the cells inside the image; a window with none gives 0."""
    return np.ones((geo.kh, geo.kw), dtype), (1 / np.maximum(geo.cells_inside, 1)).astype(dtype)


def gaussian_window(kh: int, kw: int) -> np.ndarray:
    """w[ky, kx] = exp(−d² / 2σ²), d the distance of the cell from the window's centre, σ = max(kh, kw) / 4: float64 (kh, kw).

    The edge of the window then lies two standard deviations from the centre.
    """
    y, x = np.arange(kh)[:, None] - (kh - 1) / 2, np.arange(kw) - (kw - 1) / 2
    return np.exp(-(y * y + x * x) / (2 * (max(kh, kw) / 4) ** 2))


def _weighted(geo: WindowGeometry, weights: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Weights and scale of a weighted average over the cells inside the image; a window whose weights there are all 0 gives 0."""
    total = geo.sums_inside(weights.astype(np.float64))
    return weights.astype(dtype), (1 / np.where(total > 0, total, np.inf)).astype(dtype)


_gaussian = lru_cache(maxsize=256)(lambda geo, dtype: _weighted(geo, gaussian_window(geo.kh, geo.kw), dtype))


# ---- two dimensions

def _windows(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
             ceil_mode: bool) -> tuple[Tensor, WindowGeometry]:
    """x as a floating tensor and its windows; padding beyond half a window is refused, as a window could then miss the image."""
    (x,) = floating_tensors(name, ("x",), (x,))
    geo = window_geometry(name, x.shape, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    for pads, span, axis in (((geo.top, geo.bottom), geo.span[0], "rows"), ((geo.left, geo.right), geo.span[1], "columns")):
        if max(pads) > span // 2:
            raise ValueError(f"{name}: padding must be at most half of the window, got {max(pads)} {axis} of padding for a window "
                             f"that spans {span}. Pad x itself if windows outside the image are wanted")
    return x, geo


@numpy_names
def max_pool2d(x: Any, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0, dilation: Pair = 1,
               ceil_mode: bool = False) -> Tensor:
    """y[n, oy, ox, c] = max of x[n, iy, ix, c] over the cells of window (oy, ox) that lie inside the image.

    x (N, H, W, C); y (N, OH, OW, C). `stride=None` lays the windows side by side; `ceil_mode` keeps a smaller last window. The
    gradient goes to the first maximum in row order; NaN beats every number. Integers give float32. ValueError where the window
    does not fit, or the padding exceeds half of it.
    """
    x, geo = _windows("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool2d(x, geo=geo)


@numpy_names
def avg_pool2d(x: Any, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0, dilation: Pair = 1,
               ceil_mode: bool = False) -> Tensor:
    """y[n, oy, ox, c] = Σ x / (number of cells inside the image) over window (oy, ox): padding is not counted. See max_pool2d."""
    x, geo = _windows("avg_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    weights, scale = _counts(geo, x.dtype)
    return window_sum(x, weights=weights, scale=scale, geo=geo)


@numpy_names
def sum_pool2d(x: Any, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0, dilation: Pair = 1,
               ceil_mode: bool = False) -> Tensor:
    """y[n, oy, ox, c] = Σ x over window (oy, ox). See max_pool2d."""
    x, geo = _windows("sum_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _sum(x, geo)


@numpy_names
def lp_pool2d(x: Any, kernel_size: Pair, p: float = 2.0, *, stride: Pair | None = None, padding: Padding = 0, dilation: Pair = 1,
              ceil_mode: bool = False) -> Tensor:
    """y[n, oy, ox, c] = (Σ |x|ᵖ)^(1/p) over window (oy, ox), 1 ≤ p < ∞; by default the L² norm of the lecture.

    Where a window is all zero the norm has a kink: y is 0, and so is its gradient. See max_pool2d (which is p = ∞).
    """
    x, geo = _windows("lp_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _lp("lp_pool2d", x, p, geo)


@numpy_names
def distance_pool2d(x: Any, kernel_size: Pair, weights: Any = None, *, stride: Pair | None = None, padding: Padding = 0, dilation: Pair = 1,
                    ceil_mode: bool = False) -> Tensor:
    """y[n, oy, ox, c] = Σ w·x / Σ w over the cells of window (oy, ox) inside the image: a weighted average that favours the centre.

    By default w[ky, kx] = exp(−d² / 2σ²), d the distance in cells from the window's centre, σ = max(kh, kw) / 4. `weights` is an
    array (kh, kw) of your own: constants, not negative, not all 0. Source: Goodfellow, Bengio and Courville 2016, section 9.3.
    """
    x, geo = _windows("distance_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _distance("distance_pool2d", x, weights, geo)


def _sum(x: Tensor, geo: WindowGeometry) -> Tensor:
    weights, scale = _ones(geo, x.dtype)
    return window_sum(x, weights=weights, scale=scale, geo=geo)


def _lp(name: str, x: Tensor, p: float, geo: WindowGeometry) -> Tensor:
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 1 <= p < math.inf:
        raise ValueError(f"{name}: p must be a number with 1 ≤ p < ∞, got {p!r}. For p = ∞ use {name.replace('lp', 'max')}")
    p = float(p)
    total = _sum(square(x) if p == 2 else abs(x) if p == 1 else abs(x) ** p, geo)
    positive = total != 0                                     # NaN is not 0, and goes on as it is
    inside = where(positive, total, 1)                        # the root has no derivative at 0
    return where(positive, sqrt(inside) if p == 2 else inside if p == 1 else inside ** (1 / p), 0)


def _distance(name: str, x: Tensor, weights: Any, geo: WindowGeometry) -> Tensor:
    if weights is None:
        taps, scale = _gaussian(geo, x.dtype)
    else:
        taps, scale = _weighted(geo, _checked_weights(name, weights, geo), x.dtype)
    return window_sum(x, weights=taps, scale=scale, geo=geo)


def _checked_weights(name: str, weights: Any, geo: WindowGeometry) -> np.ndarray:
    if isinstance(weights, Tensor) and weights.requires_grad:
        raise TypeError(f"{name}: weights are constants here, but this tensor requires a gradient. "
                        "To learn them use a convolution with groups = channels")
    try:
        array = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: weights must be an array of numbers of the window's shape, got {weights!r}") from None
    if name.endswith("1d") and array.ndim == 1:
        array = array[None]
    if array.shape != (geo.kh, geo.kw):
        expected = (geo.kw,) if name.endswith("1d") else (geo.kh, geo.kw)
        raise ValueError(f"{name}: weights must have the shape {expected} of the window, got {np.shape(weights)}")
    if not (np.isfinite(array).all() and (array >= 0).all() and array.any()):
        raise ValueError(f"{name}: weights must be finite, not negative and not all 0, got {np.asarray(weights).tolist()}")
    return array


# ---- one dimension: an image of one row

def _row_windows(name: str, x: Any, kernel_size: int, stride: int | None, padding: Any, dilation: int,
                 ceil_mode: bool) -> tuple[Tensor, WindowGeometry]:
    (x,) = floating_tensors(name, ("x",), (x,))
    kernel = row_pair(name, "kernel_size", kernel_size, at_least=1, rows=1)
    return _windows(name, row_image(name, x), kernel, None if stride is None else row_pair(name, "stride", stride, at_least=1, rows=1),
                    row_padding(name, padding), row_pair(name, "dilation", dilation, at_least=1, rows=1), ceil_mode)


def _sequence(y: Tensor) -> Tensor:
    return y.reshape((y.shape[0], *y.shape[2:]))


@numpy_names
def max_pool1d(x: Any, kernel_size: int, *, stride: int | None = None, padding: Any = 0, dilation: int = 1,
               ceil_mode: bool = False) -> Tensor:
    """max_pool2d along the one axis of x (N, L, C); `padding` is one integer, (before, after), 'same' or 'valid'."""
    x, geo = _row_windows("max_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _sequence(_max_pool2d(x, geo=geo))


@numpy_names
def avg_pool1d(x: Any, kernel_size: int, *, stride: int | None = None, padding: Any = 0, dilation: int = 1,
               ceil_mode: bool = False) -> Tensor:
    """avg_pool2d along the one axis of x (N, L, C); see max_pool1d."""
    x, geo = _row_windows("avg_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode)
    weights, scale = _counts(geo, x.dtype)
    return _sequence(window_sum(x, weights=weights, scale=scale, geo=geo))


@numpy_names
def sum_pool1d(x: Any, kernel_size: int, *, stride: int | None = None, padding: Any = 0, dilation: int = 1,
               ceil_mode: bool = False) -> Tensor:
    """sum_pool2d along the one axis of x (N, L, C); see max_pool1d."""
    return _sequence(_sum(*_row_windows("sum_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode)))


@numpy_names
def lp_pool1d(x: Any, kernel_size: int, p: float = 2.0, *, stride: int | None = None, padding: Any = 0, dilation: int = 1,
              ceil_mode: bool = False) -> Tensor:
    """lp_pool2d along the one axis of x (N, L, C); see max_pool1d."""
    x, geo = _row_windows("lp_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _sequence(_lp("lp_pool1d", x, p, geo))


@numpy_names
def distance_pool1d(x: Any, kernel_size: int, weights: Any = None, *, stride: int | None = None, padding: Any = 0, dilation: int = 1,
                    ceil_mode: bool = False) -> Tensor:
    """distance_pool2d along the one axis of x (N, L, C), weights (k,) or None; see max_pool1d."""
    x, geo = _row_windows("distance_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _sequence(_distance("distance_pool1d", x, weights, geo))
