"""The main loop of matrix products on tensor cores: y[i, j] = Σ over k of A[i, k] · B[k, j], a tile of y for each block.

Matrices are float32 in memory. They are rounded to bfloat16 or tf32 on their way to shared memory, and sums are float32. A kernel that
uses the loop says two things only: how a few neighbouring numbers of A and of B are found in memory (a Loader for each; that of a
convolution gathers), and what becomes of the sums.

    engine = tile("bf16", SMALL, left, right)                      # in the template, from constants
    walk, spread, count = engine.walk, engine.spread(store), engine.count

    @kernel("…", threads=engine.threads, shared=engine.shared, requires=("HMMA",))
    def product(…):
        sums = cuda.local.array(count, float32)
        walk((a, …), (b, …), i0, j0, k, end, sums)                  # sums = A[i0:i0+rows, k:end] · B[k:end, j0:j0+columns]
        spread((y, …), i0, j0, sums)                                # store((y, …), i, j, sum at (i, j), sum at (i, j + 1)), for each pair

The tuples are the operands: whatever pointers and numbers the loaders and the store need; the loop hands them on. k and end - k may be any
numbers: a loader returns zeros beyond `end`. `walk` begins with whatever the block does first in shared memory; before it is called a
second time in a kernel, the block must meet (cuda.syncthreads()).
"""
from __future__ import annotations

from typing import NamedTuple

from .language import DeviceFunction


class Loader(NamedTuple):
    """How one operand is read: `vector` (1 or 4) numbers at a time, along the axis that is contiguous in memory.

    place    place(operand, line) -> a tuple of `places` int64: all that is to know of a line, which is a row i of A or a column j of B,
             apart from k. Asked once for each line that a thread reads, before the walk. A line may be beyond the matrix: say so in the
             tuple. Where k is not first, `line` is the first of `vector` neighbouring lines
    chunk    chunk(operand, where, k, end) -> a tuple of `vector` float32: from (line, k) on, along k if k_first, else (line, k),
             (line + 1, k), …; `where` is what place(operand, line) gave. Zeros for lines beyond the matrix and for k >= end. k is a
             multiple of `vector` (if k_first) beyond the k that the walk began with, so with vector 4, `end` must allow whole fours
    k_first  whether neighbours in memory are neighbours along k
    vector   4 where addresses allow it (one load of 128 bits), else 1
    places   how many integers `place` gives
    """

    place: DeviceFunction
    chunk: DeviceFunction
    k_first: bool
    vector: int
    places: int


class Shape(NamedTuple):
    """What a block owns of y, rows × columns, what each of its warps owns of that, and how far along k a step goes.

    depth  bytes of shared memory of one line in a step, 64 or 128: 32 or 64 bfloat16, 16 or 32 tf32
    """

    rows: int
    columns: int
    warp_rows: int
    warp_columns: int
    depth: int = 64
