"""What every op asks of its arrays; on the way of an op these questions are asked twenty times.

Compiled, the answers are read from NumPy's C structure (kernels/ndarray.pxi), where there is one: to look up an attribute by its name
takes longer than to add sixty-four numbers.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numpy import __version__, broadcast_to, dtype, may_share_memory, ndarray, zeros


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


def as_rows(array: Any) -> Any:
    """An array (…, C) as (M, C): itself where it has two axes."""
    shape = shape_of(array)
    return array if len(shape) == 2 else array.reshape(math.prod(shape[:-1]), shape[-1])


def address_of(value: Any) -> int:
    """Where the first number of an array lies, in the memory of its device."""
    if isinstance(value, ndarray):
        array: ndarray = value
        return array.ctypes.data
    return value.pointer


def repeated(array: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """A read-only view of an array under `shape`, repeated along `axes`, which the array has with length 1 or not at all."""
    return broadcast_to(array.reshape(tuple([1 if i in axes else n for i, n in enumerate(shape)])), shape, subok=True)


def share_memory(view: Any, array: Any) -> bool:
    """Whether what an op made of an array may lie in the same memory; asked after every op that gives views."""
    if type(view) is ndarray and type(array) is ndarray:
        base, other = view.base, array.base
        if base is None or base is array or base is other:
            return base is not None or view is array
        if other is None and type(base) is ndarray and base.base is None:
            return False                                    # each of them lies in memory that one array owns
    return may_share_memory(view, array)


def check_layout(*questions: Callable[[Any], Any]) -> None:
    """ImportError unless is_scattered, shape_of and dtype_of, or the three `questions` given, answer as NumPy's arrays are known to lie."""
    whole = zeros((2, 3, 4), "int16")
    known = [(whole, (False, (2, 3, 4), "int16")), (whole.T, (True, (4, 3, 2), "int16")), (whole[:, 1], (True, (2, 4), "int16")),
             (whole[0, 0], (False, (4,), "int16")), (zeros((3, 0, 1)), (False, (3, 0, 1), "float64"))]
    for place, question in enumerate(questions or (is_scattered, shape_of, dtype_of)):     # no pointer is followed before the flags agree
        for array, answers in known:
            found = question(array)
            if found != answers[place]:
                raise ImportError(f"NumPy {__version__} lays out its arrays in a way that this tinygradconv cannot read: where "
                                  f"{answers[place]} was expected, it found {found}. Install a NumPy that it knows: "
                                  f"pip install 'numpy>=2,<3'")


check_layout()
