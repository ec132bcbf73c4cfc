"""Values picked out by position, and the adjoint that adds them back: indexing, take, gather, scatter_add."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinygradconv.autodiff import primitive
from tinygradconv.ops.shape import basic_slice
from tinygradconv.tensor import Tensor


@primitive
def gather_flat(be: Any, x: Any, *, where: Any) -> Any:
    """y[i] = x.flat[where[i]], shaped like `where`, an int64 array of positions in range."""
    y = be.empty(where.shape, x.dtype)
    be.run("gather", x, where, y)
    return y


@primitive
def scatter_add_flat(be: Any, g: Any, *, where: Any, shape: tuple[int, ...]) -> Any:
    """x.flat[p] = Σ g[i] over the i with where[i] = p, for x of `shape`: the adjoint of gather_flat."""
    x = be.empty(shape, g.dtype)
    be.run("scatter_add", g, where, x)
    return x


gather_flat.vjp(x=lambda g, where, x_shape: scatter_add_flat(g, where=where, shape=x_shape))
scatter_add_flat.vjp(g=lambda g, where: gather_flat(g, where=where))


def _is_basic(part: Any) -> bool:
    return part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)) and not isinstance(part, (bool, np.bool_))


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index] as NumPy does it: slices, integers, ellipsis and newaxis give a view; integer and boolean arrays pick values."""
    parts = index if isinstance(index, tuple) else (index,)
    try:
        if all(map(_is_basic, parts)):
            return basic_slice(x, parts)
        parts = tuple(p.numpy() if isinstance(p, Tensor) else p for p in parts)
        where = np.arange(x.size, dtype=np.int64).reshape(x.shape)[parts]
    except IndexError as problem:
        raise IndexError(f"x[…]: {problem}; x has shape {x.shape}, the index is {index!r}") from None
    return gather_flat(x, where=where)


Tensor.__getitem__ = getitem
