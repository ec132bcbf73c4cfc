"""wgmma: products that a warpgroup (four warps, 128 threads) starts, and waits for later. PTX ISA 9.0, section 9.7.15.

A product is started, belongs to a group from the next commit on, and is done when the warpgroup waits for its group: not earlier. Until
then its sums may not be touched, and only then does it read shared memory, so what was written there too soon is in it (or, if by cp.async,
is LostCopy). Both operands are read at the start too, to see that they are there: the tensor cores read shared memory by a way of their own
(the asynchronous proxy), so whoever wrote it must have called fence_async, and then met the reader at a barrier.

Operands lie in rows of 128 bytes, 64 bfloat16 along k; the 16-byte piece c of row r at c ^ r % 8 (the 128-byte swizzle: bits 4 to 6 of an
address are exchanged by bits 7 to 9), so the first row lies at a multiple of 1024 bytes. Thread 32 w + 4 g + t holds, of the 64 × n sums,
rows 16 w + g and 16 w + g + 8, columns 8 j + 2 t and the next, as sums[4 j + 2 · (lower row) + (next column)].
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .faults import InvalidAddress, Race, Uninitialised, line_of
from .memory import Pointer
from .tensor_cores import bf16_values

THREADS, ROWS, DEEP = 128, 64, 16          # a warpgroup; rows of A and numbers along k of one product
PIECE = 8                                  # numbers that are not torn apart where pieces are exchanged


class Product(NamedTuple):
    """A product that has been started: each thread's sums, shared memory, the positions (row, k) of A and of B in it."""

    sums: list[Any]
    shared: Pointer
    a: np.ndarray
    b: np.ndarray


@dataclass
class Warpgroup:
    """128 threads, the products since their last commit, and the groups of those that are not done."""

    threads: list[Any]
    started: list[Product] = field(default_factory=list)
    groups: list[list[Product]] = field(default_factory=list)


def start(group: Warpgroup, operands: list[Any]) -> list[None]:
    """Start sums += A · B; an operand is (n, sums, shared, a, b) of a thread."""
    columns, _, shared, a, b = operands[0]
    for thread, (n, sums, _, i, j) in zip(group.threads, operands):
        if (n, i, j) != (columns, a, b) or len(sums.cells) != columns // 2:
            thread.fail(InvalidAddress, f"starts wgmma_bf16({n}, …, {i}, {j}) with {len(sums.cells)} sums; its warpgroup, with {columns}, "
                                        f"{a} and {b}, and {columns // 2} sums: all threads must agree")
        if sums.written == thread.ordered:
            thread.fail(Race, "starts wgmma_bf16 with sums that it wrote after its last wgmma_fence. Call ptx.wgmma_fence() in between")
        if any(number is None for number in sums.cells):
            thread.fail(Uninitialised, "starts wgmma_bf16 with sums that it has not written")
        sums.pending += 1
    product = Product([sums for _, sums, *_ in operands], shared, _positions(group, shared, a, ROWS), _positions(group, shared, b, columns))
    _read(group, product, starting=True)
    group.started.append(product)
    return [None] * THREADS


def commit(group: Warpgroup, operands: list[Any]) -> list[None]:
    """The products started since the last commit become a group."""
    group.groups.append(group.started)
    group.started = []
    return [None] * THREADS


def wait(group: Warpgroup, operands: list[Any]) -> list[None]:
    """Do the oldest groups of products until at most so many are left; an operand is that number."""
    while len(group.groups) > operands[0]:
        for product in group.groups.pop(0):
            _read(group, product, starting=False)
            _finish(product)
    return [None] * THREADS


def _positions(group: Warpgroup, shared: Pointer, i: int, rows: int) -> np.ndarray:
    """Where (row, k) lies, as indices of `shared`."""
    itemsize, begin = shared.values.itemsize, shared.values.ctypes.data + shared.at * shared.values.itemsize
    first = begin + i * itemsize
    if itemsize != 2 or first % 32 or first // 128 % 8:
        group.threads[0].fail(InvalidAddress, f"gives {shared.name}[{i}] to wgmma_bf16, {first % 1024} bytes beyond a multiple of 1024. "
                                              f"The first row must lie at one, and k begin at a multiple of 16; the memory is of uint16")
    row, k = np.arange(rows)[:, None], np.arange(DEEP)
    places = first + row // 8 * 1024 + row % 8 * 128 + k * itemsize
    return ((places ^ (places >> 7 & 7) << 4) - begin) // itemsize


def _read(group: Warpgroup, product: Product, starting: bool) -> None:
    """Note that a thread for each row reads its cells, now; at the start, see that who wrote them has made them visible."""
    shared, at, fenced = product.shared, group.threads[0].waits.at, {}
    for positions in (product.a, product.b):
        for row, line in enumerate(positions.tolist()):
            thread = group.threads[row % THREADS]
            for i in line[::PIECE]:                                        # eight numbers lie together
                cells = shared.cells(i, PIECE, 1)
                shared.order.read(cells, thread.stamp, i, shared.span, at)
                if starting:
                    fenced.update({writer[0]: writer for writer in map(shared.order.writer.__getitem__, cells)})
    for stamp, place in fenced.values():
        made_visible = stamp.thread.fenced[stamp.fences:]
        if not made_visible or made_visible[0] >= group.threads[0].stamp.barriers:
            group.threads[0].fail(Race, f"starts wgmma_bf16 on what thread {stamp.number} wrote at {line_of(place)}, which the tensor "
                                        f"cores need not see: that thread must call ptx.fence_async() after it, then all meet at a barrier")


def _finish(product: Product) -> None:
    """Add the product to the sums, rounded once."""
    values = bf16_values(product.shared.values[product.shared.at:])
    thread, j = np.arange(THREADS)[:, None], np.arange(len(product.sums[0].cells))
    rows, columns = thread // 32 * 16 + thread % 32 // 4 + 8 * (j % 4 // 2), 8 * (j // 4) + 2 * (thread % 4) + j % 2
    with np.errstate(all="ignore"):
        sums = values[product.a].astype(np.float64) @ values[product.b].astype(np.float64).T
        added = (np.array([array.cells for array in product.sums], np.float64) + sums[rows, columns]).astype(np.float32)
    for array, numbers in zip(product.sums, added):
        array.cells[:] = numbers
        array.pending -= 1


# What a warpgroup does as one: from itself and its 128 threads' operands to their results.
TOGETHER = {"wgmma_bf16": start, "wgmma_commit": commit, "wgmma_wait": wait}
