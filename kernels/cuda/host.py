"""What host functions need: how arrays lie, and how many blocks cover them. Arrays are CudaArray on a GPU, NumPy's in the emulator."""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

MOST_AXES = 6                              # of a strided kernel, once axes that can be walked as one are merged


def blocks(count: int, each: int) -> int:
    """How many blocks of `each` cover `count`: ⌈count / each⌉."""
    return -(-count // each)


def address(array: Any) -> int:
    """Where the first element is: a CudaArray's `pointer`, or the address of a NumPy array."""
    return array.pointer if hasattr(array, "pointer") else array.ctypes.data


def steps(array: Any) -> tuple[int, ...]:
    """The distance between neighbours along each axis, in elements."""
    return tuple(stride // array.dtype.itemsize for stride in array.strides)


def vector_width(dtype: Any, addresses: tuple[int, ...], lengths: tuple[int, ...]) -> int:
    """How many numbers one load may take: 16 bytes' worth where every address and every row's length allows it, else 1."""
    width = 16 // dtype.itemsize
    return width if all(at % 16 == 0 for at in addresses) and all(length % width == 0 for length in lengths) else 1


def is_contiguous(array: Any) -> bool:
    """Whether the elements lie in order, without gaps."""
    return _in_order(array.shape, array.strides, array.dtype.itemsize)


@lru_cache(maxsize=4096)
def _in_order(shape: tuple[int, ...], strides: tuple[int, ...], expected: int) -> bool:
    for length, stride in zip(reversed(shape), reversed(strides)):
        if length != 1 and stride != expected:
            return not math.prod(shape)
        expected *= length
    return True


def merged(shape: tuple[int, ...], *arrays: Any) -> tuple[list[int], list[list[int]]]:
    """(lengths, steps of each array) of the fewest axes that walk over all arrays, which are broadcast to `shape`."""
    return merge(shape, [_over(shape, array.shape, array.strides, array.dtype.itemsize) for array in arrays])


def _over(shape: tuple[int, ...], lengths: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> list[int]:
    """The steps of one array along the axes of `shape`, to which it is broadcast."""
    return [0] * (len(shape) - len(lengths)) + [0 if n == 1 else stride // itemsize for n, stride in zip(lengths, strides)]


def merge(shape: Sequence[int], spread: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """(lengths, steps of each array) of the fewest axes for arrays whose steps along these axes are `spread`.

    Axes of length 1 go; two neighbours become one where every array steps over them as over one. ValueError if more than six are left.
    """
    lengths: list[int] = []
    walks: list[list[int]] = [[] for _ in spread]
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        if lengths and all(walk[-1] == length * step[axis] for walk, step in zip(walks, spread)):
            lengths[-1] *= length
            for walk, step in zip(walks, spread):
                walk[-1] = step[axis]
            continue
        lengths.append(length)
        for walk, step in zip(walks, spread):
            walk.append(step[axis])
    if len(lengths) > MOST_AXES:
        raise ValueError(f"cuda: {len(lengths)} axes of {shape} cannot be walked as {MOST_AXES}. Copy the array to contiguous memory first")
    return (lengths, walks) if lengths else ([1], [[0] for _ in spread])


def walk_arguments(shape: tuple[int, ...], *arrays: Any) -> tuple[int, ...]:
    """The arguments (axis_arguments) of the fewest axes that walk over all arrays, which are broadcast to `shape`.

    They are remembered: a training step asks for the same few again and again.
    """
    return _walked(shape, tuple([(array.shape, array.strides, array.dtype.itemsize) for array in arrays]))


@lru_cache(maxsize=4096)
def _walked(shape: tuple[int, ...], arrays: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...]) -> tuple[int, ...]:
    return tuple(axis_arguments(*merge(shape, [_over(shape, *array) for array in arrays])))


def axis_arguments(lengths: list[int], walks: list[list[int]]) -> list[int]:
    """The arguments of strided kernels: how many axes; five lengths, the innermost first; six steps of each array, the outermost last.

    The outermost axis needs no length: what is left of an index, divided by the other lengths, is the position along it.
    """
    inner = len(lengths) - 1
    padded = [list(reversed(walk[1:])) + [0] * (MOST_AXES - 1 - inner) + [walk[0]] for walk in walks]
    return [len(lengths), *reversed(lengths[1:]), *[1] * (MOST_AXES - 1 - inner), *(step for walk in padded for step in walk)]
