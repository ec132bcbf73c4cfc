# cython: annotation_typing=False
# A wrong type is answered by errors of our own.
"""Tensors put together, taken apart, and given borders."""
from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygradconv.arrays import dtype_of, shape_of
from tinygradconv.autodiff import Primitive
from tinygradconv.geometry import described, integer
from tinygradconv.ops.device import beside
from tinygradconv.ops.gather import gather_flat, grid_positions
from tinygradconv.ops.shape import as_axes, as_axis, basic_slice, broadcast_to, expand_dims, place, reshape
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import as_tensor, promoted
from tinygradconv.tensor import Tensor

__all__ = ["concat", "pad", "repeat", "roll", "split", "stack", "tile", "unstack"]


def _between(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    """The index of start … stop along one axis."""
    return (slice(None),) * axis + (slice(start, stop),)


@cache
def _concat(count: int) -> Primitive:
    """The op that joins `count` inputs x0, x1, … along `axis`; input i fills ends[i] … ends[i + 1]."""
    def forward(be: Any, *xs: Any, axis: int, ends: tuple[int, ...]) -> Any:
        shape = shape_of(xs[0])
        y = be.empty(shape[:axis] + (ends[-1],) + shape[axis + 1:], dtype_of(xs[0]))
        for x, start, stop in zip(xs, ends, ends[1:]):
            be.run("copy", x, y[_between(axis, start, stop)])
        return y

    def rule(i: int) -> Any:
        return lambda g, axis, ends: basic_slice(g, _between(axis, ends[i], ends[i + 1]))

    op = Primitive(forward, name="concat", inputs=[f"x{i}" for i in range(count)])
    op.options = ("axis", "ends")
    return op.vjp(**{f"x{i}": rule(i) for i in range(count)})


def _several(name: str, arrays: Any) -> list[Tensor]:
    if isinstance(arrays, Tensor):
        arrays = list(arrays)
    if not isinstance(arrays, (list, tuple)) or not arrays:
        raise ValueError(f"{name}: arrays must be a list of at least one tensor, got {type(arrays).__name__} {arrays!r}")
    return list(promoted(name, arrays))


@numpy_names
def concat(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors one after another along `axis`, an existing axis; their other axes must agree. Dtypes are promoted."""
    xs = _several("concat", arrays)
    shapes = [shape_of(x.data) for x in xs]
    first = shapes[0]
    if not first:
        raise ValueError("concat: a tensor with no axes cannot be concatenated. Use stack()")
    axis, ends = as_axis("concat", axis, len(first)), [0]
    for i, shape in enumerate(shapes):
        if shape != first and (len(shape) != len(first) or shape[:axis] != first[:axis] or shape[axis + 1:] != first[axis + 1:]):
            raise ValueError(f"concat: arrays[{i}] has shape {shape} but arrays[0] has {first}; all axes but axis {axis} must agree")
        ends.append(ends[-1] + shape[axis])
    return xs[0] if len(xs) == 1 else _concat(len(xs))(*xs, axis=axis, ends=tuple(ends))


@numpy_names
def stack(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors, all of one shape, side by side along a new axis at place `axis` of the result."""
    xs = _several("stack", arrays)
    for i, x in enumerate(xs):
        if x.shape != xs[0].shape:
            raise ValueError(f"stack: arrays[{i}] has shape {x.shape} but arrays[0] has {xs[0].shape}; all shapes must be equal")
    axis = as_axis("stack", axis, xs[0].ndim + 1)
    return concat([expand_dims(x, axis) for x in xs], axis=axis)


@numpy_names
def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x cut along `axis` into views: an integer asks for so many equal parts, a list says *where* to cut (as in NumPy, not how long).

    ValueError where the axis has no such number of equal parts.
    """
    x = as_tensor("split", "x", x)
    axis = as_axis("split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(indices_or_sections, (list, tuple)):
        cuts = [integer("indices_or_sections", i, at_least=-n, where="split") for i in indices_or_sections]
    else:
        parts = integer("indices_or_sections", indices_or_sections, at_least=1, where="split")
        if n % parts:
            raise ValueError(f"split: axis {axis} of x has length {n}, which is not {parts} equal parts; x has shape {x.shape}. "
                             f"Give the places to cut, e.g. split(x, [{n // parts}])")
        cuts = list(range(n // parts, n, n // parts)) if n else [0] * (parts - 1)
    return [basic_slice(x, _between(axis, start, stop)) for start, stop in zip([0, *cuts], [*cuts, n])]


@numpy_names
def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along `axis`, which is left out: the inverse of stack. Views."""
    x = as_tensor("unstack", "x", x)
    axis = as_axis("unstack", axis, x.ndim)
    return tuple(basic_slice(x, (*[slice(None)] * axis, i)) for i in range(x.shape[axis]))


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    """One (before, after) per axis from NumPy's ways of writing it: one integer, (before, after), or a pair per axis."""
    if ndim == 0:
        return []
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (ndim, 2))
    except ValueError:
        raise ValueError(f"pad: pad_width must be an integer, (before, after), or {ndim} such pairs, one per axis; "
                         f"got {pad_width!r}") from None
    return [tuple(integer("pad_width", n, at_least=0, where="pad") for n in one) for one in widths.tolist()]


def _check_fill(value: Any, dtype: np.dtype) -> None:
    """A number that `dtype` can hold: 1.5 between integers would become 1."""
    if not isinstance(value, (bool, int, float, np.number, np.bool_)):
        raise TypeError(f"pad: constant_values must be one number, got {described(value)}")
    if dtype.kind != "f" and (value != value or value % 1):
        raise TypeError(f"pad: constant_values must be an integer like x, which is {dtype}; got {value!r}. Use x.astype('float32')")


@numpy_names
def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Tensor:
    """x with a border of `pad_width` cells: an integer, (before, after) for every axis, or one such pair per axis.

    `mode`: "constant" fills it with `constant_values`; "edge" repeats the outermost cell; "reflect" mirrors at that cell without repeating
    it. A gradient returns to the cell that was copied.
    """
    x = as_tensor("pad", "x", x)
    widths = _widths(pad_width, x.ndim)
    if mode not in ("constant", "edge", "reflect"):
        raise ValueError(f"pad: mode must be 'constant', 'edge' or 'reflect', got {mode!r}")
    if not any(before or after for before, after in widths):
        return x
    if mode == "constant":
        _check_fill(constant_values, x.dtype)
        inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape))
        return place(x, inside, tuple(before + n + after for (before, after), n in zip(widths, x.shape)), constant_values)
    if x.size == 0:
        raise ValueError(f"pad: mode {mode!r} has nothing to copy from an x of shape {x.shape}")
    # NumPy's own pad, on the numbers 0 … n − 1 of an axis, says which cell each cell of the result copies.
    where = grid_positions(x.shape, [np.pad(np.arange(n), width, mode=mode) for n, width in zip(x.shape, widths)])
    return gather_flat(x, beside(x, where))


@numpy_names
def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    """x moved on by `shift` places along `axis` (None: in row-major order); what falls off the end comes back at the start."""
    x = as_tensor("roll", "x", x)
    if axis is None:
        return reshape(roll(reshape(x, (x.size,)), shift, 0), x.shape)
    axes = as_axes("roll", axis, x.ndim)
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ValueError(f"roll: shift {shift} and axis {axis} must be of one length")
    for one, i in zip(shifts, axes):
        by = integer("shift", one, at_least=-(1 << 62), where="roll") % (x.shape[i] or 1)
        if by:
            cut = x.shape[i] - by
            x = concat([basic_slice(x, _between(i, cut, x.shape[i])), basic_slice(x, _between(i, 0, cut))], axis=i)
    return x


@numpy_names
def tile(x: Any, repetitions: int | Sequence[int]) -> Tensor:
    """x laid side by side with itself, repetitions[i] times along axis i; fewer repetitions than axes count for the last axes."""
    x = as_tensor("tile", "x", x)
    wanted = tuple(repetitions) if isinstance(repetitions, (tuple, list)) else (repetitions,)
    times = [integer("repetitions", n, at_least=0, where="tile") for n in wanted]
    ndim = max(x.ndim, len(times))
    times, shape = [1] * (ndim - len(times)) + times, [1] * (ndim - x.ndim) + list(x.shape)
    apart = broadcast_to(reshape(x, [n for length in shape for n in (1, length)]), [n for pair in zip(times, shape) for n in pair])
    return reshape(apart, [r * n for r, n in zip(times, shape)])


@numpy_names
def repeat(x: Any, repeats: int, axis: int | None = None) -> Tensor:
    """Each value of x `repeats` times in a row along `axis` (None: the values in row-major order)."""
    x = as_tensor("repeat", "x", x)
    if axis is None:
        return repeat(reshape(x, (x.size,)), repeats, 0)
    axis = as_axis("repeat", axis, x.ndim)
    times = integer("repeats", repeats, at_least=0, where="repeat")
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1:]
    return reshape(broadcast_to(reshape(x, (*before, n, 1, *after)), (*before, n, times, *after)), (*before, n * times, *after))
