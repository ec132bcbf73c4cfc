# cython: annotation_typing=False
# A wrong type is answered by errors of our own.
"""The same values under another shape: reshape, permute, broadcast, slice. On the CPU these are views, and cost nothing."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygradconv.arrays import dtype_of, shape_of
from tinygradconv.autodiff import primitive
from tinygradconv.geometry import described, integer
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import as_tensor, number
from tinygradconv.tensor import Tensor

__all__ = ["broadcast_to", "expand_dims", "flip", "matrix_transpose", "moveaxis", "permute_dims", "reshape", "squeeze", "sum_to"]


MOST_VALUES = 1 << 58


def as_axes(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """`axis` (None for all, an integer, or several) as a tuple of different axes in 0 … ndim − 1."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:                       # the commonest case
        return (axis % ndim,)
    axes = []
    for one in axis if isinstance(axis, (tuple, list)) else (axis,):
        if type(one) is not int:                                         # most are
            one = integer("axis", one, at_least=-math.inf, where=name)
        if not -ndim <= one < ndim:
            raise ValueError(f"{name}: axis {one} is out of range for a tensor with {ndim} axes")
        axes.append(one % ndim)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: axis {axis} names an axis twice")
    return tuple(axes)


def as_axis(name: str, axis: Any, ndim: int) -> int:
    """One axis, in 0 … ndim − 1."""
    if type(axis) is int and -ndim <= axis < ndim:                       # the commonest case
        return axis % ndim
    return as_axes(name, integer("axis", axis, at_least=-math.inf, where=name), ndim)[0]


def as_shape(name: str, shape: Any, *, at_least: int = 0) -> tuple[int, ...]:
    """`shape` (an integer or several) as a tuple of integers; ValueError where no memory could be so large."""
    lengths = shape if isinstance(shape, (tuple, list)) else (shape,)
    wanted = tuple([n if type(n) is int and n >= at_least else integer("shape", n, at_least=at_least, where=name) for n in lengths])
    if math.prod(wanted) >= MOST_VALUES:
        raise ValueError(f"{name}: shape {wanted} has {math.prod(wanted):,} values, more than any memory holds")
    return wanted


@primitive(view=True)
def _reshape(be: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


@primitive(view=True)
def _permute(be: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


@primitive(view=True)
def _broadcast(be: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    lengths = shape_of(x)
    lead = len(shape) - len(lengths)
    return be.repeated(x, shape, tuple([i for i in range(len(shape)) if i < lead or lengths[i - lead] == 1]))


@primitive
def _sum_to(be: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    lengths = shape_of(x)
    lead = len(lengths) - len(shape)
    axes = tuple([i for i in range(len(lengths)) if i < lead or shape[i - lead] == 1 != lengths[i]])
    direct = lead == 0 or lead == len(axes)                  # the kernel drops all of the axes, or none
    y = be.empty(shape if direct else tuple([1 if i in axes else n for i, n in enumerate(lengths)]), dtype_of(x))
    be.run("reduce", x, y, "sum", axes)
    return y if direct else y.reshape(shape)


@primitive(view=True)
def _slice(be: Any, x: Any, *, index: tuple[Any, ...]) -> Any:
    """x[index], with an ellipsis in the index."""
    return x[index]


@primitive
def _place(be: Any, x: Any, *, index: tuple[Any, ...], shape: tuple[int, ...], fill: float = 0) -> Any:
    """`fill` everywhere in `shape`, and x at `index`: with fill 0 the adjoint of a slice."""
    y = be.empty(shape, dtype_of(x))
    be.run("copy", be.constant(number(fill, dtype_of(x))), y)
    be.run("copy", x, y[index])
    return y


_reshape.vjp(x=lambda g, x_shape: _reshape(g, shape=x_shape))
_permute.vjp(x=lambda g, axes: _permute(g, axes=tuple([axes.index(i) for i in range(len(axes))])))
_broadcast.vjp(x=lambda g, x_shape: _sum_to(g, shape=x_shape))
_sum_to.vjp(x=lambda g, x_shape: _broadcast(g, shape=x_shape))
_slice.vjp(x=lambda g, index, x_shape: _place(g, index=index, shape=x_shape))
_place.vjp(x=lambda g, index: _slice(g, index=index))
NAMES = {"reshape": _reshape, "permute_dims": _permute, "broadcast_to": _broadcast, "sum_to": _sum_to, "getitem": _slice, "place": _place}
for _said, _op in NAMES.items():
    _op.name = _said


@numpy_names
def reshape(x: Any, shape: int | Sequence[int]) -> Tensor:
    """The values of x, in the same (row-major) order, under `shape`; one length may be −1 and is worked out."""
    x = as_tensor("reshape", "x", x)
    wanted = as_shape("reshape", shape, at_least=-1)
    known = math.prod([n for n in wanted if n >= 0])
    if wanted.count(-1) > 1:
        raise ValueError(f"reshape: only one length may be -1, got {wanted}")
    if -1 in wanted and (known == 0 or x.size % known) or -1 not in wanted and known != x.size:
        raise ValueError(f"reshape: x has shape {x.shape}, {x.size} values, which do not fit into {wanted}")
    if -1 in wanted:
        wanted = tuple(x.size // known if n == -1 else n for n in wanted)
    return x if wanted == x.shape else _reshape(x, shape=wanted)


@numpy_names
def permute_dims(x: Any, axes: Sequence[int]) -> Tensor:
    """The axes of x in another order: axis i of the result is axis axes[i] of x."""
    x = as_tensor("permute_dims", "x", x)
    if not isinstance(axes, (tuple, list)):
        raise TypeError(f"permute_dims: axes must be a list of all axes in their new order, got {described(axes)}")
    order = as_axes("permute_dims", axes, x.ndim)
    if len(order) != x.ndim:
        raise ValueError(f"permute_dims: x has {x.ndim} axes, so axes must name {x.ndim}, got {tuple(axes)}")
    return x if order == tuple(range(x.ndim)) else _permute(x, axes=order)


def matrix_transpose(x: Any) -> Tensor:
    """The last two axes of x exchanged."""
    x = as_tensor("matrix_transpose", "x", x)
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: x must have at least two axes, got shape {x.shape}")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@numpy_names
def moveaxis(x: Any, source: int, destination: int) -> Tensor:
    """Axis `source` of x put at place `destination`; the others keep their order."""
    x = as_tensor("moveaxis", "x", x)
    start, end = as_axis("moveaxis", source, x.ndim), as_axis("moveaxis", destination, x.ndim)
    order = [i for i in range(x.ndim) if i != start]
    order.insert(end, start)
    return permute_dims(x, order)


@numpy_names
def broadcast_to(x: Any, shape: int | Sequence[int]) -> Tensor:
    """x repeated along axes of length 1, and along new leading axes, up to `shape`."""
    x = as_tensor("broadcast_to", "x", x)
    wanted = as_shape("broadcast_to", shape)
    shape = shape_of(x.data)
    lead = len(wanted) - len(shape)
    if lead < 0 or any([n not in (1, m) for n, m in zip(shape, wanted[lead:])]):
        raise ValueError(f"broadcast_to: x has shape {shape}, which does not broadcast to {wanted}")
    return x if wanted == shape else _broadcast(x, shape=wanted)


def sum_to(x: Any, shape: int | Sequence[int]) -> Tensor:
    """x summed down to `shape`, over the axes along which `shape` would be broadcast to x: the adjoint of broadcast_to."""
    x = as_tensor("sum_to", "x", x)
    wanted, lengths = as_shape("sum_to", shape), shape_of(x.data)
    lead = len(lengths) - len(wanted)
    if lead < 0 or any([n not in (1, m) for n, m in zip(wanted, lengths[lead:])]):
        raise ValueError(f"sum_to: {wanted} does not broadcast to the shape {lengths} of x")
    return x if wanted == lengths else _sum_to(x, shape=wanted)


@numpy_names
def expand_dims(x: Any, axis: int | Sequence[int] = 0) -> Tensor:
    """x with new axes of length 1 at the places `axis` of the result."""
    x = as_tensor("expand_dims", "x", x)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    axes = as_axes("expand_dims", axis, x.ndim + count)
    old = iter(x.shape)
    return reshape(x, tuple(1 if i in axes else next(old) for i in range(x.ndim + count)))


@numpy_names
def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Tensor:
    """x without the axes `axis`, which must have length 1 (None: all such axes)."""
    x = as_tensor("squeeze", "x", x)
    axes = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else as_axes("squeeze", axis, x.ndim)
    for i in axes:
        if x.shape[i] != 1:
            raise ValueError(f"squeeze: axis {i} of x has length {x.shape[i]}, not 1; x has shape {x.shape}")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@numpy_names
def flip(x: Any, axis: int | Sequence[int] | None = None) -> Tensor:
    """x with the order of its values reversed along `axis` (None: along every axis)."""
    x = as_tensor("flip", "x", x)
    axes = as_axes("flip", axis, x.ndim)
    return basic_slice(x, tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim)))


def _as_array(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """`index` with an ellipsis in it: without one NumPy gives a single value as a number, not as an array with no axes."""
    return index if Ellipsis in index else (*index, ...)


def basic_slice(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    """x[index] for an index of slices, integers, newaxis and an ellipsis: a view."""
    return _slice(x, index=_as_array(index))


def place(x: Tensor, index: tuple[Any, ...], shape: tuple[int, ...], fill: float = 0) -> Tensor:
    """`fill` everywhere in `shape`, and x at `index`, an index of slices and integers."""
    return _place(x, index=_as_array(index), shape=shape, fill=fill)


Tensor.reshape = lambda self, *shape: reshape(self, shape[0] if len(shape) == 1 else shape)
Tensor.permute_dims = lambda self, *axes: permute_dims(self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)
Tensor.flatten = lambda self: reshape(self, (self.size,))
Tensor.broadcast_to = broadcast_to
Tensor.sum_to = sum_to
Tensor.squeeze = squeeze
Tensor.expand_dims = expand_dims
Tensor.T = property(lambda self: permute_dims(self, tuple(range(self.ndim))[::-1]))
Tensor.mT = property(matrix_transpose)
