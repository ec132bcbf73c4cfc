"""Matrix products on tensor cores, a tile of y for each block: y[i, j] = Σ over k of A[i, k] · B[k, j].

Matrices are float32 in memory. They are rounded to bfloat16 or tf32 on their way to shared memory, and sums are float32. A kernel that
uses the loop says two things only: how a few neighbouring numbers of A and of B are found in memory (a Loader for each; that of a
convolution gathers), and what becomes of the sums.

    walk, threads, shared, count = tile("bf16", shape, left, right)        # in the template, from constants
    finish = spread(shape, store)

    @kernel("…", threads=threads, shared=shared, requires=("HMMA",))
    def product(…):
        sums = cuda.local.array(count, float32)
        walk((a, …), (b, …), i0, j0, k, end, sums)                  # sums = A[i0:i0+rows, k:end] · B[k:end, j0:j0+columns]
        finish((y, …), i0, j0, sums)                                # store((y, …), i, j, sum at (i, j), sum at (i, j + 1)), for each pair

`walk` is the loop of main_loop.py. The tuples are the operands: whatever pointers and numbers the loaders and the store need; the loop
hands them on. k and end - k may be any numbers: a loader returns zeros beyond `end`. `walk` begins with whatever the block does first in
shared memory; before it is called a second time in a kernel, the block must meet (cuda.syncthreads()).
"""
from __future__ import annotations

from functools import cache
from typing import NamedTuple

from .fragments import fragments
from .language import DeviceFunction, cuda, device, float32, int64, ptx, uint32, uint64
from .loading import Loader
from .main_loop import Tile, main_loop
from .staging import BYTES, staging

PADDING = 8                                # numbers more in a row of sums in shared memory


class Shape(NamedTuple):
    """What a block owns of y, rows × columns; what each of its warps owns of that; and how far a step goes along k.

    depth  bytes of shared memory of one line in a step, 64 or 128: 32 or 64 bfloat16, 16 or 32 tf32
    """

    rows: int
    columns: int
    warp_rows: int
    warp_columns: int
    depth: int = 64

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}/{self.warp_rows}x{self.warp_columns}"

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * (self.rows // self.warp_rows) * (self.columns // self.warp_columns)

    @property
    def sums(self) -> int:
        """Sums that a thread holds."""
        return self.warp_rows * self.warp_columns // 32


@cache
def tile(precision: str, shape: Shape, left: Loader, right: Loader) -> Tile:
    """The loop in "bf16" or "tf32", for a shape and two loaders."""
    rows, columns, depth = shape.rows, shape.columns, shape.depth
    threads, steps = shape.threads, depth // BYTES[precision]
    a, b = staging(precision, left, rows, depth, threads), staging(precision, right, columns, depth, threads)
    multiply = multiplier(precision, shape, left.k_first, right.k_first)
    walk = main_loop(float32, a, b, steps, rows * steps, (rows + columns) * steps, multiply, shape.sums)
    return Tile(walk, threads, max(2 * (rows + columns) * depth, spread_bytes(shape)), shape.sums)


@cache
def multiplier(precision: str, shape: Shape, k_first_a: bool, k_first_b: bool) -> DeviceFunction:
    """A function of (start, sums): sums += A · B of a step's strips, that of A from number `start` of shared memory on, B's behind it."""
    rows, columns, warp_rows, warp_columns, depth = shape
    read_a = fragments(precision, k_first_a, rows, depth, True, warp_rows)
    read_b = fragments(precision, k_first_b, columns, depth, False, warp_columns)
    downwards, across, inner, second = warp_rows // 16, warp_columns // 8, depth // 32, rows * depth // BYTES[precision]
    registers_a, registers_b = 4 * downwards, 2 * across
    mma, corner = product(precision), corner_of(shape)

    @device
    def multiply(start, sums):
        x, w = cuda.local.array(registers_a, uint32), cuda.local.array(registers_b, uint32)
        i, j = corner()
        for step in range(inner):
            read_a(start, i, step, x)
            read_b(start + second, j, step, w)
            for m in range(downwards):
                for n in range(across):
                    mma(x, 4 * m, w, 2 * n, sums, 4 * (m * across + n))
    return multiply


@cache
def product(precision: str) -> DeviceFunction:
    """A function of (x, a, w, b, sums, c): sums[c:c + 4] += x[a:a + 4] · w[b:b + 2], registers of a warp in local arrays."""
    @device
    def bf16(x, a, w, b, sums, c):
        sums[c], sums[c + 1], sums[c + 2], sums[c + 3] = ptx.mma_bf16(
            (x[a], x[a + 1], x[a + 2], x[a + 3]), (w[b], w[b + 1]), (sums[c], sums[c + 1], sums[c + 2], sums[c + 3]))

    @device
    def tf32(x, a, w, b, sums, c):
        sums[c], sums[c + 1], sums[c + 2], sums[c + 3] = ptx.mma_tf32(
            (x[a], x[a + 1], x[a + 2], x[a + 3]), (w[b], w[b + 1]), (sums[c], sums[c + 1], sums[c + 2], sums[c + 3]))
    return bf16 if precision == "bf16" else tf32


@cache
def corner_of(shape: Shape) -> DeviceFunction:
    """A function that gives (row, column) of the block's tile: where the part of this thread's warp begins."""
    warp_rows, warp_columns = shape.warp_rows, shape.warp_columns
    beside = shape.columns // warp_columns                                 # warps next to one another: a power of two
    shift, mask = beside.bit_length() - 1, beside - 1

    @device
    def corner():
        warp = cuda.threadIdx.x >> 5
        return (warp >> shift) * warp_rows, (warp & mask) * warp_columns
    return corner


@cache
def spread(shape: Shape, store: DeviceFunction) -> DeviceFunction:
    """A function of (out, i0, j0, sums): store(out, i, j, sum at (i, j), sum at (i, j + 1)) for each pair of the block; j is even.

    i and j may be beyond y. The sums are turned over in shared memory, so that the block stores whole rows, in a plain loop: out of
    registers, whose names must be constants, `store` would be written down once for each pair. A thread gets pairs of one and the same
    two columns. Rows are eight numbers longer than they need be: the pairs that sixteen lanes write, of four rows, then lie in 32 banks.
    """
    corner, downwards, across, row = corner_of(shape), shape.warp_rows // 16, shape.warp_columns // 8, shape.columns + PADDING
    length, pairs = shape.columns // 2, shape.rows * shape.columns // 2
    shift, mask = length.bit_length() - 1, length - 1

    @device
    def spreading(out, i0, j0, sums):
        s, lane = cuda.shared.array(0, float32, alignment=1024), cuda.threadIdx.x & 31
        i, j = corner()
        cuda.syncthreads()                                                 # nobody reads the last strips any more
        at = (i + (lane >> 2)) * row + j + (lane & 3) * 2
        for m in range(downwards):
            for n in range(across):
                for h in range(2):
                    c = 4 * (m * across + n) + 2 * h
                    ptx.store2(s, at + (m * 16 + h * 8) * row + n * 8, sums[c], sums[c + 1])
        cuda.syncthreads()
        n = cuda.threadIdx.x
        while n < pairs:
            i, j = n >> shift, (n & mask) * 2
            first, second = ptx.load2(s, i * row + j)
            store(out, i0 + i, j0 + j, first, second)
            n += cuda.blockDim.x
    return spreading


def spread_bytes(shape: Shape) -> int:
    """The shared memory that `spread` needs."""
    return shape.rows * (shape.columns + PADDING) * 4


@device
def quotient(a, b):
    """a // b of numbers below 2³²: a division of 64 bits would be a call, and calls keep ptxas from letting wgmma run on."""
    return int64(uint64(uint32(a)) // uint64(uint32(b)))


TOGETHER = 8                                                               # rows of tiles


@device
def tile_at(place, rows, columns):
    """(row, column) of the place-th of rows × columns tiles. Eight rows are walked down before the next column.

    So blocks that run at the same time form a square rather than a line, and what they read of A and B is little: it stays in the
    second-level cache.
    """
    group = quotient(place, TOGETHER * columns)
    first = group * TOGETHER
    high, inside = min(TOGETHER, rows - first), place - first * columns
    column = quotient(inside, high)
    return first + inside - column * high, column


__all__ = ["Loader", "Shape", "Tile", "corner_of", "multiplier", "product", "quotient", "spread", "spread_bytes", "tile", "tile_at"]
