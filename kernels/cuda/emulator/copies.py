"""cp.async: copies from global to shared memory that land as late as they may.

A copy is started, belongs to a group from the thread's next commit on, and lands when that thread waits for the group: not earlier. Until
then its cells hold 0xFF bytes (NaN), and touching them is LostCopy. What landed is the waiting thread's write: others need a barrier.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from .faults import InvalidAddress, place
from .memory import Pointer


def start(thread: Any, shared: Pointer, i: int, origin: Pointer, j: int, given: int, size: int) -> None:
    """Begin to copy `size` bytes to shared[i:], of which `given` come from origin[j:] and the rest are 0."""
    itemsize = shared.values.itemsize
    if origin.values.itemsize != itemsize or not 0 <= given <= size or given % itemsize:
        thread.fail(InvalidAddress, f"copies {given} of {size} bytes, from numbers of {origin.values.itemsize} bytes to numbers of "
                                    f"{itemsize}; it must be whole numbers of one size")
    count, whole = given // itemsize, size // itemsize
    if count:
        origin.cells(j, count, itemsize)                       # inside the array, as far as it is read
    if (origin.values.ctypes.data + (origin.at + j) * itemsize) % size:
        thread.fail(InvalidAddress, f"copies from {origin.name}[{j}], whose address is not a multiple of {size} bytes")
    cells, at = shared.cells(i, whole, size), place()
    shared.order.begin_copy(cells, thread.stamp, i, shared.span, at)
    shared.raw(i, whole).view(np.uint8)[:] = 0xFF
    thread.started.append((shared, i, cells, origin, j, count, whole))


def commit(thread: Any) -> None:
    """The copies started since the last commit become a group, which may be empty."""
    thread.groups.append(thread.started)
    thread.started = []


def wait(thread: Any, most: int) -> None:
    """Land the oldest groups until at most so many are under way."""
    while len(thread.groups) > most:
        for shared, i, cells, origin, j, count, whole in thread.groups.pop(0):
            shared.order.end_copy(cells, thread.stamp)
            values = origin.take(j, count, 1) if count else origin.values[:0]
            landed = shared.raw(i, whole)
            landed[:count], landed[count:] = values.view(landed.dtype), 0
