"""What the ops with sliding windows share: remembered geometries, and one axis treated as an image of one row."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tinygradconv.geometry import WindowGeometry, described, integer
from tinygradconv.tensor import Tensor


def frozen(value: Any) -> Any:
    """Lists and arrays as tuples, at any depth, so that the arguments of a window can be the key of a cache."""
    if type(value) is int:                               # the commonest case
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(frozen(one) for one in value)
    if type(value).__hash__ is None:
        raise TypeError(f"sizes, strides and padding are integers or pairs of them, got {described(value)}")
    return int(value) if isinstance(value, np.integer) else value


@lru_cache(maxsize=512, typed=True)
def _window_geometry(where: str, x_shape: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any,
                     ceil_mode: bool) -> WindowGeometry:
    return WindowGeometry.of(where, x_shape, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)


def window_geometry(where: str, x_shape: tuple[int, ...], kernel_size: Any, *, stride: Any, padding: Any, dilation: Any = 1,
                    ceil_mode: bool = False) -> WindowGeometry:
    """WindowGeometry.of, remembered: a training step asks for the same few geometries again and again."""
    return _window_geometry(where, tuple(x_shape), frozen(kernel_size), frozen(stride), frozen(padding), frozen(dilation), bool(ceil_mode))


def row_image(where: str, x: Tensor) -> Tensor:
    """A batch of sequences (N, L, C) as images of one row, (N, 1, L, C)."""
    if x.ndim != 3:
        raise ValueError(f"{where}: x must have three axes (N, L, C), got shape {x.shape}"
                         + (". Add the batch axis: x[None]" if x.ndim == 2 else ""))
    return x.reshape((x.shape[0], 1, x.shape[1], x.shape[2]))


def row_pair(where: str, name: str, value: Any, *, at_least: int, rows: int) -> tuple[int, int]:
    """One integer for the one axis, as (rows, columns)."""
    return rows, integer(name, value, at_least=at_least, where=where)


def row_padding(where: str, padding: Any) -> Any:
    """Padding of the one axis as ((0, 0), (before, after)): one integer, a pair (before, after), 'same' or 'valid'."""
    if isinstance(padding, str):
        return padding
    if isinstance(padding, (tuple, list)):
        if len(padding) != 2:
            raise ValueError(f"{where}: padding must be one integer or two (before, after), got {padding!r}")
        before, after = padding
    else:
        before = after = padding
    return (0, 0), tuple(integer("padding", one, at_least=0, where=where) for one in (before, after))
