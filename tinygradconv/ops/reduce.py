# cython: annotation_typing=False
# A wrong type is answered by errors of our own.
"""Many values into one, along any axes: sums, means, extremes, positions, running sums. Products and spreads stand in spread.py.

`axis` is None (all axes), an integer or several; negative ones count from the end; () changes nothing but the dtype of a sum of integers.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygradconv.arrays import dtype_of, shape_of
from tinygradconv.autodiff import Primitive, primitive
from tinygradconv.ops.device import beside
from tinygradconv.ops.elementwise import BOOL, nothing
from tinygradconv.ops.gather import gather_flat
from tinygradconv.ops.shape import as_axes, permute_dims, reshape
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import as_tensor, floating_result, number
from tinygradconv.tensor import Tensor

__all__ = ["all", "any", "argmax", "argmin", "cumsum", "max", "mean", "min", "sum"]
Axis = int | tuple[int, ...] | None


def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with length 1 along `axes`."""
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


def dropped(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` without `axes`."""
    return tuple([n for i, n in enumerate(shape) if i not in axes])


def reduced(be: Any, x: Any, op: str, axes: tuple[int, ...], keepdims: bool, dtype: Any) -> Any:
    """One row of the `reduce` kernel, for op authors."""
    shape = shape_of(x)
    y = be.empty(kept(shape, axes) if keepdims else dropped(shape, axes), dtype)
    be.run("reduce", x, y, op, axes)
    return y


def sum_dtype(dtype: np.dtype) -> np.dtype:
    """Sums of integers are at least 64 bits wide."""
    return dtype if dtype.kind == "f" else np.result_type(dtype, np.int64)


@primitive
def _sum(be: Any, x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return reduced(be, x, "sum", axes, keepdims, sum_dtype(dtype_of(x)))


@primitive
def _mean(be: Any, x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Σ x / n."""
    return reduced(be, x, "mean", axes, keepdims, dtype_of(x))


@primitive(view=True)
def _repeat(be: Any, g: Any, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """g repeated along `axes` up to `shape`: the adjoint of Σ x."""
    return be.repeated(g, shape, axes)


@primitive(view=True)
def _share(be: Any, g: Any, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """g / n repeated along `axes` up to `shape`: the adjoint of Σ x / n."""
    y = be.like(g)
    be.run("binary", g, be.constant(number(_count(shape, axes), dtype_of(g))), y, "divide")
    return be.repeated(y, shape, axes)


def _extreme(op: str) -> Primitive:
    """The op y = max x or min x over `axes`: one for each, as an option costs time."""
    @primitive(name=op)
    def extreme(be: Any, x: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
        return reduced(be, x, op, axes, keepdims, dtype_of(x))

    @primitive(name=op + "_slope")
    def slope(be: Any, a: Any, b: Any, c: Any, *, axes: tuple[int, ...]) -> Any:
        """a at the first value over `axes`, in row-major order, of b that is the extreme c; 0 elsewhere."""
        x = be.like(b)
        be.run("extreme_backward", a, b, c, x, axes)
        return x

    slope.vjp(a=lambda g, a_shape, b, axes: _at_the_extremes(g, a_shape, b, "arg" + op, axes),
              b=lambda g: nothing(g), c=lambda g, c: nothing(c))
    return extreme.vjp(x=lambda g, x, y, axes: slope(g, x, y, axes=axes))


@primitive(differentiable=False)
def _truth(be: Any, x: Any, *, op: str, axes: tuple[int, ...], keepdims: bool) -> Any:
    return reduced(be, x, op, axes, keepdims, BOOL)


@primitive(differentiable=False)
def _arg(be: Any, x: Any, *, op: str, axis: int) -> Any:
    y = be.empty(kept(x.shape, (axis,)), np.int64)
    be.run("arg_reduce", x, y, op, axis)
    return y


@primitive
def _cumulative_sum(be: Any, x: Any, *, axis: int, reverse: bool) -> Any:
    y = be.empty(x.shape, sum_dtype(x.dtype))
    be.run("cumulative_sum", x, y, axis, reverse)
    return y


def lined_up(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """x as a matrix (R, K): one row per value that a reduction over `axes` gives, the values that it meets in row-major order."""
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    return reshape(permute_dims(x, (*rest, *axes)), (math.prod(x.shape[i] for i in rest), math.prod(x.shape[i] for i in axes)))


def lined_back(rows: Tensor, shape: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """The inverse of lined_up."""
    order = (*(i for i in range(len(shape)) if i not in axes), *axes)
    back = sorted(range(len(order)), key=order.__getitem__)
    return permute_dims(reshape(rows, tuple(shape[i] for i in order)), back)


def _at_the_extremes(g: Tensor, a_shape: tuple[int, ...], b: Tensor, op: str, axes: tuple[int, ...]) -> Tensor:
    """The adjoint of placing a at the first extremes of b, which `op` finds: g is read there, one value per row."""
    rows = lined_up(b.detach(), axes)
    R, K = rows.shape
    where = _arg(rows, op=op, axis=1) + beside(b, np.arange(R, dtype=np.int64)[:, None] * K)
    return reshape(gather_flat(lined_up(g, axes), where), a_shape)


_sum.vjp(x=lambda g, x_shape, axes: _repeat(g, shape=x_shape, axes=axes))
_repeat.vjp(g=lambda g, g_shape, axes: reshape(_sum(g, axes=axes, keepdims=False), g_shape))
_mean.vjp(x=lambda g, x_shape, axes: _share(g, shape=x_shape, axes=axes))
_share.vjp(g=lambda g, g_shape, axes: reshape(_mean(g, axes=axes, keepdims=False), g_shape))
_max, _min = _extreme("max"), _extreme("min")
_cumulative_sum.vjp(x=lambda g, axis, reverse: _cumulative_sum(g, axis=axis, reverse=not reverse))
_sum.name, _mean.name, _cumulative_sum.name, _repeat.name, _share.name = "sum", "mean", "cumsum", "repeat", "share"


def start(name: str, x: Any, axis: Axis, *, floating: bool = False) -> tuple[Tensor, tuple[int, ...]]:
    """x as a tensor, and `axis` as a tuple; `floating` makes integers float32."""
    x = as_tensor(name, "x", x)
    if floating and dtype_of(x.data).kind != "f":
        x = x.astype(floating_result(x.dtype))
    return x, as_axes(name, axis, len(shape_of(x.data)))


def count(x: Tensor, axes: tuple[int, ...]) -> int:
    """How many values of x a reduction over `axes` puts into one."""
    return _count(shape_of(x.data), axes)


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """The number of values that lie along `axes`."""
    n = 1
    for i in axes:
        n *= shape[i]
    return n


def _some(name: str, x: Tensor, axes: tuple[int, ...]) -> None:
    if count(x, axes) == 0:
        raise ValueError(f"{name}: there is no {name} of no values; x has shape {x.shape}, axis {axes}")


@numpy_names
def sum(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Σ x over `axis` (None: all axes). Integers and bool are summed as int64; the sum of nothing is 0."""
    x, axes = start("sum", x, axis)
    return _sum(x, axes=axes, keepdims=keepdims)


@numpy_names
def mean(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Σ x / n over `axis`, n the number of values there; integers give float32; the mean of nothing is NaN."""
    x, axes = start("mean", x, axis, floating=True)
    return _mean(x, axes=axes, keepdims=keepdims)


@numpy_names
def max(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest value over `axis`; among equals the first gets the gradient. NaN wins. ValueError where there are no values."""
    x, axes = start("max", x, axis)
    _some("max", x, axes)
    return _max(x, axes=axes, keepdims=keepdims)


@numpy_names
def min(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The smallest value over `axis`; among equals the first gets the gradient. NaN wins. ValueError where there are no values."""
    x, axes = start("min", x, axis)
    _some("min", x, axes)
    return _min(x, axes=axes, keepdims=keepdims)


def _position(name: str, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    x, axes = start(name, x, axis)
    _some(name, x, axes)
    if axis is None:
        y = _arg(reshape(x, (x.size,)), op=name, axis=0)
    elif len(axes) == 1:
        y = _arg(x, op=name, axis=axes[0])
    else:
        raise ValueError(f"{name}: axis must be one integer or None, got {axis!r}")
    return reshape(y, kept(x.shape, axes) if keepdims else dropped(x.shape, axes))


@numpy_names
def argmax(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Where the largest value over `axis` stands, the first among equals, as int64 (None: in row-major order). NaN wins."""
    return _position("argmax", x, axis, keepdims)


@numpy_names
def argmin(x: Any, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Where the smallest value over `axis` stands, the first among equals, as int64 (None: in row-major order). NaN wins."""
    return _position("argmin", x, axis, keepdims)


@numpy_names
def any(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether some value over `axis` is not zero, as bool; False of nothing."""
    x, axes = start("any", x, axis)
    return _truth(x, op="any", axes=axes, keepdims=keepdims)


@numpy_names
def all(x: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether every value over `axis` is not zero, as bool; True of nothing."""
    x, axes = start("all", x, axis)
    return _truth(x, op="all", axes=axes, keepdims=keepdims)


@numpy_names
def cumsum(x: Any, axis: int | None = None, *, reverse: bool = False) -> Tensor:
    """y[i] = Σ x[j] over j ≤ i along `axis`, or over j ≥ i with `reverse` (None: the values in row-major order). Integers give int64."""
    x, axes = start("cumsum", x, axis)
    if axis is None:
        x, axes = reshape(x, (x.size,)), (0,)
    elif len(axes) != 1:
        raise ValueError(f"cumsum: axis must be one integer or None, got {axis!r}")
    return _cumulative_sum(x, axis=axes[0], reverse=bool(reverse))


for _function in (sum, mean, max, min, argmax, argmin, any, all, cumsum):
    setattr(Tensor, _function.__name__, _function)
