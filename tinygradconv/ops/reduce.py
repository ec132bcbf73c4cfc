"""Many values into one, along any axes: sums, means, products, extremes, spreads, running sums."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.ops.elementwise import BOOL, equal, where
from tinygradconv.ops.shape import as_axes, broadcast_to, reshape
from tinygradconv.promotion import as_tensors
from tinygradconv.tensor import DEFAULT_DTYPE, Tensor

Axis = int | tuple[int, ...] | None


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with length 1 along `axes`."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _reduced(be: Any, x: Any, op: str, axes: tuple[int, ...], dtype: Any) -> Any:
    y = be.empty(_kept(x.shape, axes), dtype)
    be.run("reduce", x, y, op, axes)
    return y


@primitive
def _sum(be: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    return _reduced(be, x, "sum", axes, x.dtype if x.dtype.kind == "f" else np.result_type(x.dtype, np.int64))


@primitive
def _extreme(be: Any, x: Any, *, op: str, axes: tuple[int, ...]) -> Any:
    return _reduced(be, x, op, axes, x.dtype)


@primitive(differentiable=False)
def _truth(be: Any, x: Any, *, op: str, axes: tuple[int, ...]) -> Any:
    return _reduced(be, x, op, axes, BOOL)


@primitive(differentiable=False)
def _arg(be: Any, x: Any, *, op: str, axis: int) -> Any:
    y = be.empty(_kept(x.shape, (axis,)), np.int64)
    be.run("arg_reduce", x, y, op, axis)
    return y


@primitive
def _cumulative_sum(be: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    y = be.empty(x.shape, x.dtype)
    be.run("cumulative_sum", x, y, axis, reverse)
    return y


_sum.vjp(x=lambda g, x_shape: broadcast_to(g, x_shape))
_extreme.vjp(x=lambda g, x, y, axes: where(_first(equal(x, y), axes), broadcast_to(g, x.shape), 0))
_cumulative_sum.vjp(x=lambda g, axis, reverse: _cumulative_sum(g, axis=axis, reverse=not reverse))
_sum.name, _cumulative_sum.name = "sum", "cumulative_sum"
_extreme.name = "max or min"


def _first(hit: Tensor, axes: tuple[int, ...]) -> Tensor:
    """True at the first hit along `axes`, in row-major order, and nowhere else: ties go to the first."""
    rest = tuple(i for i in range(hit.ndim) if i not in axes)
    order = (*rest, *axes)
    lined = hit.permute_dims(order).reshape((*(hit.shape[i] for i in rest), -1)).astype(np.int64)
    first = (_cumulative_sum(lined, axis=lined.ndim - 1, reverse=False) * lined) == 1
    back = tuple(int(i) for i in np.argsort(order))
    return first.reshape(tuple(hit.shape[i] for i in order)).permute_dims(back)


def _finish(y: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return y if keepdims else reshape(y, tuple(n for i, n in enumerate(y.shape) if i not in axes))


def _start(name: str, x: Any, axis: Axis) -> tuple[Tensor, tuple[int, ...]]:
    (x,) = as_tensors(name, ("x",), (x,))
    return x, as_axes(name, axis, x.ndim)


def sum(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Σ x over `axis` (None: all axes). Integers and bool are summed as int64; the sum of nothing is 0."""
    x, axes = _start("sum", x, axis)
    return _finish(_sum(x, axes=axes), axes, keepdims)


def mean(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Σ x / n over `axis`, n the number of values there; integers give float32."""
    x, axes = _start("mean", x, axis)
    n = math.prod(x.shape[i] for i in axes)
    return sum(x if x.dtype.kind == "f" else x.astype(DEFAULT_DTYPE), axes, keepdims=keepdims) / (n or math.nan)


def _some(name: str, x: Tensor, axes: tuple[int, ...]) -> None:
    if math.prod(x.shape[i] for i in axes) == 0:
        raise ValueError(f"{name}: there is no {name} of no values; x has shape {x.shape}, axis {axes}")


def max(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest value over `axis`; among equals the first gets the gradient. NaN wins. ValueError where there are no values."""
    x, axes = _start("max", x, axis)
    _some("max", x, axes)
    return _finish(_extreme(x, op="max", axes=axes), axes, keepdims)


def min(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The smallest value over `axis`; among equals the first gets the gradient. NaN wins. ValueError where there are no values."""
    x, axes = _start("min", x, axis)
    _some("min", x, axes)
    return _finish(_extreme(x, op="min", axes=axes), axes, keepdims)


Tensor.sum = sum
Tensor.mean = mean
Tensor.max = max
Tensor.min = min
