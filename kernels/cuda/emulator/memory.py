"""Memory as a kernel sees it: pointers to NumPy arrays, shared arrays and local arrays, each checked at every access."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..language import Scalar, scalar_of
from .faults import InvalidAddress, LostCopy, Uninitialised, place
from .order import Order


class Pointer:
    """p[i] of one array: bounds, alignment and order are checked. `at` is the position of p[0] in `values`.

    For the order of accesses, the element at position k of `values` is the cells from base + step · k on, `span` of them.
    """

    __slots__ = ("at", "base", "launch", "name", "order", "read", "size", "span", "step", "store", "values")

    def __init__(self, launch: Any, name: str, values: np.ndarray, order: Order, at: int, base: int, step: int, span: int) -> None:
        self.launch, self.name, self.values, self.order = launch, name, values, order
        self.at, self.base, self.step, self.span, self.size = at, base, step, span, len(values)
        # A kernel gets floats as NumPy's numbers and integers as Python's, which behave as Numba's integers of 64 bits do.
        self.read, self.store = (values.dtype.type,) * 2 if values.dtype.kind == "f" else (int, scalar_of(values.dtype))

    def __getitem__(self, i: int) -> Any:
        at = self._check(i, 1)
        self._note(self.order.read, at, i, 1)
        return self.read(self.values[at])

    def __setitem__(self, i: int, value: Any) -> None:
        at = self._check(i, 1)
        self._note(self.order.write, at, i, 1)
        self.values[at] = self.store(value)

    def take(self, i: int, count: int, alignment: int) -> np.ndarray:
        """`count` elements in one access, their address a multiple of `alignment` bytes."""
        at = self._check(i, count, alignment)
        self._note(self.order.read, at, i, count)
        return self.values[at:at + count].copy()

    def put(self, i: int, values: Any, alignment: int) -> None:
        """All of `values` in one access."""
        at = self._check(i, len(values), alignment)
        self._note(self.order.write, at, i, len(values))
        for k, value in enumerate(values):
            self.values[at + k] = self.store(value)

    def cells(self, i: int, count: int, alignment: int) -> range:
        """The cells of `count` elements, checked, for one who notes the accesses himself."""
        return self._cells(self._check(i, count, alignment), count)

    def raw(self, i: int, count: int) -> np.ndarray:
        """The elements themselves, nothing checked or noted."""
        return self.values[self.at + i:self.at + i + count]

    def _note(self, note: Any, at: int, i: int, count: int) -> None:
        note(self._cells(at, count), self.launch.thread.stamp, i, self.span, place())

    def _cells(self, at: int, count: int) -> range:
        """Elements of several cells have no gaps between them."""
        cell = self.base + at * self.step
        return range(cell, cell + count * self.step, 1 if self.span > 1 else self.step)

    def _check(self, i: int, count: int, alignment: int = 1) -> int:
        """The position of element i in `values`; InvalidAddress if it or one of those after it lies outside, or the address is crooked."""
        at = self.at + i
        if at < 0 or at + count > self.size:
            least, most = -self.at, self.size - self.at
            what = f"{self.name}[{i}]" if count == 1 else f"{self.name}[{i}:{i + count}]"
            self.launch.thread.fail(InvalidAddress, f"touches {what}; the array has the elements {least} to {most - 1}")
        if alignment > 1 and (self.values.ctypes.data + at * self.values.itemsize) % alignment:
            over = (self.values.ctypes.data + at * self.values.itemsize) % alignment
            self.launch.thread.fail(InvalidAddress, f"touches {self.name}[{i}:{i + count}] at once, so its address must be a multiple of "
                                                    f"{alignment} bytes; it is {over} beyond one")
        return at


def global_pointer(launch: Any, name: str, array: np.ndarray) -> Pointer:
    """A pointer to the first element of an array with any strides; what lies between its elements can be reached too."""
    forwards = array[(..., *(slice(None, None, -1) if stride < 0 else slice(None) for stride in array.strides))]
    low, high = byte_bounds(array) if array.size else (array.ctypes.data, array.ctypes.data)
    flat = np.lib.stride_tricks.as_strided(forwards, ((high - low) // array.itemsize,), (array.itemsize,), writeable=array.flags.writeable)
    at = (array.ctypes.data - low) // array.itemsize if array.size else 0
    return Pointer(launch, name, flat, launch.order, at, low, array.itemsize, 1)


def pointed_to(launch: Any, address: int, T: Scalar) -> Pointer:
    """The pointer that an address is; InvalidAddress where it is of none of the arrays that the launch `reaches`, or not of one of T."""
    array = launch.reached.get(address)
    if array is None or array.dtype != T.dtype:
        what = "none of the arrays that the launch was said to reach" if array is None else f"an array of {array.dtype}"
        launch.thread.fail(InvalidAddress, f"makes a pointer to {T} of the address {address}, which is that of {what}")
    return global_pointer(launch, f"the array at {address}", array)


class SharedMemory:
    """The bytes of one shared array; or of the dynamic shared memory, seen as arrays of several types, whose cells have `unit` bytes."""

    def __init__(self, nbytes: int, name: str, unit: int, alignment: int) -> None:
        self.bytes = _aligned(nbytes, max(alignment, 128))
        self.bytes[:] = 0xFF                                   # NaN, -1: nobody may count on zeros
        self.order, self.unit = Order(name, initialised=False), unit

    def view(self, launch: Any, dtype: np.dtype) -> Pointer:
        """The memory as an array of this type."""
        cells = dtype.itemsize // self.unit
        values = self.bytes[:len(self.bytes) // dtype.itemsize * dtype.itemsize].view(dtype)
        return Pointer(launch, self.order.name, values, self.order, 0, 0, cells, cells)


def _aligned(nbytes: int, alignment: int) -> np.ndarray:
    """Bytes whose address is a multiple of the alignment, and of no more, so that a kernel that needs more is found."""
    room = np.empty(nbytes + 2 * alignment, np.uint8)
    start = (alignment - room.ctypes.data) % (2 * alignment)
    return room[start:start + nbytes]


class LocalArray:
    """A thread's own array. `pending`: products of a warpgroup that will yet add to it; `written`: after which wgmma_fence it was."""

    __slots__ = ("cells", "convert", "launch", "pending", "written")

    def __init__(self, launch: Any, size: int, T: Scalar) -> None:
        self.launch, self.cells, self.pending, self.written = launch, [None] * size, 0, 0
        self.convert = T.dtype.type if T.dtype.kind == "f" else T

    def __getitem__(self, i: int) -> Any:
        if not 0 <= i < len(self.cells):
            self._outside(i)
        value = self.cells[i]
        if self.pending:
            self._lost(i)
        if value is None:
            self.launch.thread.fail(Uninitialised, f"reads element {i} of a local array, which it has not written")
        return value

    def __setitem__(self, i: int, value: Any) -> None:
        if not 0 <= i < len(self.cells):
            self._outside(i)
        if self.pending:
            self._lost(i)
        self.cells[i], self.written = self.convert(value), self.launch.thread.ordered

    def _lost(self, i: int) -> None:
        self.launch.thread.fail(LostCopy, f"touches element {i} of a local array, to which a wgmma_bf16 may still be adding. "
                                          f"Call ptx.wgmma_wait first")

    def _outside(self, i: int) -> None:
        self.launch.thread.fail(InvalidAddress, f"touches element {i} of a local array of {len(self.cells)}")
