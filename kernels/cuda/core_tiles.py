"""Matrix products on CUDA cores, in exact float32 or float64, a tile of y for each block: y[i, j] = Σ over k of A[i, k] · B[k, j].

The words are those of tiles.py, the Loaders the same, so that a kernel is written once for all precisions:

    walk, threads, shared, count = core_tile(float32, shape, left, right)
    finish = core_spread(float32, shape, store)

A block walks along k by the loop of main_loop.py, DEPTH at a time; its strips lie in shared memory as As[k][i] and Bs[k][j]. A thread owns
a rectangle of sums, in groups of four rows and four columns: so a warp reads shared memory in whole 128-bit words, and the words of
neighbouring threads lie side by side. Strips that come k first are turned over on the way into shared memory.
"""
from __future__ import annotations

from functools import cache
from typing import NamedTuple

from .language import DeviceFunction, Scalar, cuda, device, float32, ptx
from .loading import Loader, deal
from .main_loop import Strips, Tile, main_loop

DEPTH, FOURS = 16, 4                       # of k, a step; and four at a time
PADDING = 4                                # numbers more in a row of shared memory: strips that are turned over hit different banks


class CoreShape(NamedTuple):
    """What a block owns of y, rows × columns; what each of its threads owns of that, in fours; blocks at once on a multiprocessor."""

    rows: int
    columns: int
    own_rows: int
    own_columns: int
    at_once: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.rows // self.own_rows * (self.columns // self.own_columns)

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}/{self.own_rows}x{self.own_columns}"


@cache
def strips(T: Scalar, loader: Loader, lines: int, threads: int) -> Strips:
    """How a block of so many threads brings DEPTH of k of `lines` lines."""
    prepare, bring, slot, count, places, held = deal(loader, lines, DEPTH, threads)
    k_first, vector, row = loader.k_first, loader.vector, lines + PADDING

    @device
    def put(start, held):
        s = cuda.shared.array(0, T, alignment=16)
        for n in range(count):
            line, k = slot(n)
            for v in range(vector):
                if k_first:
                    s[start + (k + v) * row + line] = held[n * vector + v]
                else:
                    s[start + k * row + line + v] = held[n * vector + v]
    return Strips(prepare, bring, put, places, held)


@cache
def four_from(T: Scalar) -> DeviceFunction:
    """A function of (s, at): s[at:at + 4] in as few loads as can be, as a tuple."""
    @device
    def singles(s, at):
        return ptx.load4(s, at)

    @device
    def doubles(s, at):
        a, b = ptx.load2(s, at)
        c, d = ptx.load2(s, at + 2)
        return a, b, c, d
    return singles if T is float32 else doubles


@cache
def four_to(T: Scalar) -> DeviceFunction:
    """A function of (s, at, held, n): s[at:at + 4] = held[n:n + 4]."""
    @device
    def singles(s, at, held, n):
        ptx.store4(s, at, held[n], held[n + 1], held[n + 2], held[n + 3])

    @device
    def doubles(s, at, held, n):
        ptx.store2(s, at, held[n], held[n + 1])
        ptx.store2(s, at + 2, held[n + 2], held[n + 3])
    return singles if T is float32 else doubles


@cache
def corner_of(shape: CoreShape) -> DeviceFunction:
    """A function that gives (row, column) of the block's tile: the first of this thread's sums."""
    beside = shape.columns // shape.own_columns                                # threads next to one another: a power of two
    shift, mask = beside.bit_length() - 1, beside - 1

    @device
    def corner():
        return (cuda.threadIdx.x >> shift) * 4, (cuda.threadIdx.x & mask) * 4
    return corner


@cache
def core_tile(T: Scalar, shape: CoreShape, left: Loader, right: Loader) -> Tile:
    """The loop for a type of numbers, a shape and two loaders."""
    rows, columns, own_rows, own_columns, _ = shape
    a, b = strips(T, left, rows, shape.threads), strips(T, right, columns, shape.threads)
    four, corner, count = four_from(T), corner_of(shape), own_rows * own_columns
    row_a, row_b, groups_a, groups_b = rows + PADDING, columns + PADDING, own_rows // 4, own_columns // 4
    second, half = DEPTH * row_a, DEPTH * (row_a + row_b)                      # where B's strip begins behind A's; and the other two
    apart_a, apart_b = 4 * rows // own_rows, 4 * columns // own_columns        # between a thread's groups

    @device
    def once(s, at_a, at_b, sums):
        """sums += a column of A, which begins at s[at_a], times a row of B."""
        x, w = cuda.local.array(own_rows, T), cuda.local.array(own_columns, T)
        for g in range(groups_a):
            x_four = four(s, at_a + g * apart_a)
            for c in range(4):
                x[g * 4 + c] = x_four[c]
        for g in range(groups_b):
            w_four = four(s, at_b + g * apart_b)
            for c in range(4):
                w[g * 4 + c] = w_four[c]
        for r in range(own_rows):
            x_r = x[r]
            for c in range(own_columns):
                sums[r * own_columns + c] += x_r * w[c]

    @device
    def multiply(start, sums):
        s = cuda.shared.array(0, T, alignment=16)
        i, j = corner()
        at_a, at_b = start + i, start + second + j
        for _ in range(FOURS):                                             # by four: what is next is loaded while this is multiplied
            once(s, at_a, at_b, sums)
            once(s, at_a + row_a, at_b + row_b, sums)
            once(s, at_a + 2 * row_a, at_b + 2 * row_b, sums)
            once(s, at_a + 3 * row_a, at_b + 3 * row_b, sums)
            at_a += 4 * row_a
            at_b += 4 * row_b
    walk = main_loop(T, a, b, DEPTH, second, half, multiply, count)
    return Tile(walk, shape.threads, max(2 * half, rows * row_b) * T.dtype.itemsize, count)


@cache
def core_spread(T: Scalar, shape: CoreShape, store: DeviceFunction) -> DeviceFunction:
    """A function of (out, i0, j0, sums): store(out, i, j, sum at (i, j), sum at (i, j + 1)) for each pair of the block; j is even.

    i and j may be beyond y. As in tiles.py, sums go by way of shared memory, so that whole rows are stored, in a plain loop.
    """
    rows, columns, own_rows, own_columns, _ = shape
    corner, groups, apart_a, apart_b = corner_of(shape), own_columns // 4, 4 * rows // own_rows, 4 * columns // own_columns
    row, length, pairs, threads, put = columns + PADDING, columns // 2, rows * columns // 2, shape.threads, four_to(T)
    shift, mask = length.bit_length() - 1, length - 1

    @device
    def spreading(out, i0, j0, sums):
        s = cuda.shared.array(0, T, alignment=16)
        i, j = corner()
        cuda.syncthreads()                                                 # nobody reads the last strips any more
        for r in range(own_rows):
            for g in range(groups):
                put(s, (i + (r >> 2) * apart_a + (r & 3)) * row + j + g * apart_b, sums, r * own_columns + g * 4)
        cuda.syncthreads()
        n = cuda.threadIdx.x
        while n < pairs:
            i, j = n >> shift, (n & mask) * 2
            first, second = ptx.load2(s, i * row + j)
            store(out, i0 + i, j0 + j, first, second)
            n += threads
    return spreading


__all__ = ["DEPTH", "CoreShape", "core_spread", "core_tile"]
