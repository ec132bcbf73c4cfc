"""Values picked out by position, and the adjoint that adds them back: indexing, take, gather, scatter_add.

    gather_flat(x, where)[i] = x.flat[where[i]]                      its adjoint is scatter_add_flat
    scatter_add_flat(g, where)[p] = Σ g[i] over where[i] = p         its adjoint is gather_flat

Everything here works out flat positions (row-major, int64) and then is one of these two, so every order of derivative is there.
Sums of float32 are added in float64, in the order of i, and rounded once: the same bits every time.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.ops.device import beside
from tinygradconv.ops.shape import as_axis, basic_slice, reshape
from tinygradconv.ops.spelling import numpy_names
from tinygradconv.promotion import as_tensor, promoted
from tinygradconv.tensor import Tensor

__all__ = ["gather", "scatter_add", "take", "take_along_axis"]


@primitive
def gather_flat(be: Any, x: Any, where: Any) -> Any:
    """y[i] = x.flat[where[i]], shaped like `where`, an int64 tensor of positions in range."""
    y = be.empty(where.shape, x.dtype)
    be.run("gather", x, where, y)
    return y


@primitive
def scatter_add_flat(be: Any, g: Any, where: Any, *, shape: tuple[int, ...]) -> Any:
    """x.flat[p] = Σ g[i] over the i with where[i] = p, for x of `shape`: the adjoint of gather_flat."""
    x = be.empty(shape, g.dtype)
    be.run("scatter_add", g, where, x)
    return x


gather_flat.vjp(x=lambda g, where, x_shape: scatter_add_flat(g, where, shape=x_shape))
scatter_add_flat.vjp(g=lambda g, where: gather_flat(g, where))


def strides(shape: Sequence[int]) -> list[int]:
    """How far apart in row-major order neighbours along each axis are."""
    return [math.prod(shape[i + 1:]) for i in range(len(shape))]


def grid_positions(shape: Sequence[int], picks: Sequence[np.ndarray]) -> np.ndarray:
    """The flat positions in an array of `shape` of the grid picks[0] × picks[1] × …, one list of indices per axis."""
    where = np.zeros((), np.int64)
    for step, pick in zip(strides(shape), picks):
        where = where[..., None] + pick.astype(np.int64) * step
    return where


def _is_basic(part: Any) -> bool:
    return part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)) and not isinstance(part, (bool, np.bool_))


def _index_positions(shape: tuple[int, ...], parts: tuple[Any, ...]) -> np.ndarray:
    """The flat positions that NumPy's index `parts` picks from an array of `shape`.

    NumPy itself says so: each axis's own contribution, broadcast to `shape` without memory, is indexed, and the results are added. Trailing
    axes that the index leaves alone count as one.
    """
    used = sum(np.ndim(p) if np.asarray(p).dtype == bool else 1 for p in parts if p is not None and p is not Ellipsis)
    rest = shape[used:] if Ellipsis not in [p for p in parts if p is None or p is Ellipsis] and used < len(shape) else ()
    merged = (*shape[:used], math.prod(rest)) if rest else shape
    where: Any = 0
    for axis, step in enumerate(strides(merged)):
        line = (np.arange(merged[axis], dtype=np.int64) * step).reshape([-1 if i == axis else 1 for i in range(len(merged))])
        where = where + np.broadcast_to(line, merged)[parts]
    if not merged:
        where = np.zeros((), np.int64)[parts]
    where = np.asarray(where, np.int64)
    return where.reshape((*where.shape[:-1], *rest)) if rest else where


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index] as NumPy does it: slices, integers, ellipsis and newaxis give a view; integer and boolean arrays pick values.

    IndexError where an index is out of range, with the shape of x.
    """
    parts = index if isinstance(index, tuple) else (index,)
    try:
        if all(map(_is_basic, parts)):
            return basic_slice(x, parts)
        parts = tuple(p.numpy() if isinstance(p, Tensor) else np.asarray(p) if isinstance(p, (list, bool)) else p for p in parts)
        parts = tuple(p.astype(np.int64) if isinstance(p, np.ndarray) and p.size == 0 and p.dtype.kind == "f" else p for p in parts)
        where = _index_positions(x.shape, parts)
    except (IndexError, OverflowError, TypeError, ValueError) as problem:
        kind = IndexError if isinstance(problem, OverflowError) else type(problem)
        raise kind(f"x[…]: {problem}; x has shape {x.shape}, the index is {index!r}") from None
    return gather_flat(x, beside(x, where))


def _indices(name: str, indices: Any, length: int, axis: int, x: Tensor) -> Tensor:
    """`indices` as an int64 tensor, negative ones counted from the end; IndexError where one is out of range.

    What is no tensor yet becomes one beside x. The values are looked at here; those on a GPU are waited for.
    """
    where = as_tensor(name, "indices", indices)
    if where.dtype.kind not in "iu":
        if where.size:
            raise TypeError(f"{name}: indices must be integers, got {where.dtype}. A bool mask picks with x[mask]")
        where = where.detach()
    where = where.astype(np.int64)
    if where.device == "abstract" or where.size == 0:
        return where if isinstance(indices, Tensor) else beside(x, where.numpy())
    values = where.numpy()
    low, high = int(values.min()), int(values.max())
    if low < -length or high >= length:
        bad = high if high >= length else low
        raise IndexError(f"{name}: index {bad} is out of range for axis {axis} of length {length}; "
                         f"indices run from 0 to {length - 1}, or from -{length} for counting from the end")
    if low < 0:
        values = np.where(values < 0, values + length, values)
        where = beside(where, values)
    return where if isinstance(indices, Tensor) else beside(x, values)


@numpy_names
def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The slices of x at `indices` along `axis`: y = x[…, indices, …]. None: from the values in row-major order.

    IndexError where an index is out of range; negative ones count from the end.
    """
    x = as_tensor("take", "x", x)
    if axis is None:
        return take(reshape(x, (x.size,)), indices, 0)
    axis = as_axis("take", axis, x.ndim)
    where = _indices("take", indices, x.shape[axis], axis, x)
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1:])
    step = np.arange(before, dtype=np.int64)[:, None, None] * (x.shape[axis] * after) + np.arange(after, dtype=np.int64)
    flat = reshape(where, (1, where.size, 1)) * after + beside(where, step)
    return gather_flat(x, reshape(flat, (*x.shape[:axis], *where.shape, *x.shape[axis + 1:])))


def _along(name: str, x: Tensor, indices: Any, axis: Any) -> Tensor:
    """Flat positions in x: `indices` along `axis`, and along every other axis each at its own place."""
    shape = x.shape
    axis = as_axis(name, axis, len(shape))
    where = _indices(name, indices, shape[axis], axis, x)
    if where.ndim != len(shape):
        raise ValueError(f"{name}: indices must have as many axes as x: indices has shape {where.shape}, x has {shape}")
    lines = [np.zeros(1, np.int64) if i == axis else np.arange(n, dtype=np.int64) for i, n in enumerate(shape)]
    others = grid_positions(shape, lines)
    if any(n != m and 1 not in (n, m) for i, (n, m) in enumerate(zip(where.shape, others.shape)) if i != axis):
        raise ValueError(f"{name}: indices {where.shape} and x {shape} must agree, or be 1, on every axis but axis {axis}")
    return where * strides(shape)[axis] + beside(where, others)


@numpy_names
def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Tensor:
    """y[…, i, …] = x[…, indices[…, i, …], …]: values picked along `axis`, each line of the other axes with indices of its own.

    `indices` has as many axes as x; lengths of 1 broadcast. IndexError where an index is out of range; negative ones count from the end.
    """
    x = as_tensor("take_along_axis", "x", x)
    return gather_flat(x, _along("take_along_axis", x, indices, axis))


@numpy_names
def gather(x: Any, indices: Any, axis: int = -1) -> Tensor:
    """y[…, i, …] = x[…, indices[…, i, …], …]: take_along_axis under its other name; its adjoint is scatter_add."""
    x = as_tensor("gather", "x", x)
    return gather_flat(x, _along("gather", x, indices, axis))


@numpy_names
def scatter_add(x: Any, indices: Any, values: Any, axis: int = -1) -> Tensor:
    """A new tensor: x, and values[…, i, …] added at […, indices[…, i, …], …] along `axis`; where indices meet, all are added.

    `values` broadcasts to the shape of `indices`, which has as many axes as x (lengths of 1 broadcast). Float32 values that meet are
    summed in float64 in row-major order, and rounded once. IndexError where an index is out of range; negative ones count from the end.
    """
    x, values = promoted("scatter_add", (x, values))
    where = _along("scatter_add", x, indices, axis)
    lead = where.ndim - values.ndim
    if lead < 0 or any(n not in (1, m) for n, m in zip(values.shape, where.shape[lead:])):
        raise ValueError(f"scatter_add: values of shape {values.shape} do not broadcast to the shape {where.shape} of indices")
    return x + scatter_add_flat(values.broadcast_to(where.shape), where, shape=x.shape)


Tensor.__getitem__ = getitem
