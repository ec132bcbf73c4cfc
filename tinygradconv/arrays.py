"""What every op asks of its arrays; on the way of an op these questions are asked twenty times.

Compiled, the answers are read from NumPy's C structure (arrays.pxd), where there is one: to look up an attribute by its name takes
longer than to add sixty-four numbers.
"""
from __future__ import annotations

from typing import Any

from numpy import dtype, ndarray


def dtype_of(value: Any) -> dtype:
    """The type of the numbers in an array, or of a NumPy scalar."""
    if isinstance(value, ndarray):
        array: ndarray = value
        return array.dtype
    return value.dtype


def shape_of(value: Any) -> tuple[int, ...]:
    """The length of each axis of an array; () for a NumPy scalar."""
    if isinstance(value, ndarray):
        array: ndarray = value
        return array.shape
    return value.shape


def is_scattered(value: Any) -> bool:
    """Whether this is an array, and its numbers do not lie one after the other in row-major order."""
    if isinstance(value, ndarray):
        array: ndarray = value
        return not array.flags.c_contiguous
    return False
