"""How an operand of a product is read from global memory: what a Loader is, and which of its numbers each thread of a block brings.

A step's strip of an operand is `lines` lines (rows of A, columns of B) of `steps` k. It is dealt in vectors, consecutive threads walking
along the axis that is contiguous in memory, so that loads coalesce. How the strip then lies in shared memory is for others to say:
staging.py for tensor cores, core_tiles.py for CUDA cores.
"""
from __future__ import annotations

from functools import cache
from typing import NamedTuple

from .language import DeviceFunction, cuda, device
from .vectors import part


class Loader(NamedTuple):
    """How one operand is read: `vector` (1 or 4) numbers at a time, along the axis that is contiguous in memory.

    place    place(operand, line) -> a tuple of `places` integers (1 to 4): all that is to know of a line, which is a row i of A or a column
             j of B, apart from k. Asked once for each line that a thread reads, before the walk. A line may be beyond the matrix: say so
             in the tuple. Where k is not first, `line` is the first of `vector` neighbouring lines
    chunk    chunk(operand, where, k, end) -> a tuple of `vector` float32: from (line, k) on, along k if k_first, else (line, k),
             (line + 1, k), …; `where` is what place(operand, line) gave. Zeros for lines beyond the matrix and for k >= end. If k_first,
             k is a multiple of `vector` beyond the k that the walk began with, so with vector 4, `end` must allow whole fours
    k_first  whether neighbours in memory are neighbours along k
    vector   4 where addresses allow it (one load of 128 bits), else 1
    places   how many integers `place` gives
    """

    place: DeviceFunction
    chunk: DeviceFunction
    k_first: bool
    vector: int
    places: int


class Dealt(NamedTuple):
    """What a thread does for its share of a strip, and how many integers and numbers it keeps for that."""

    prepare: DeviceFunction               # prepare(operand, first, places): asks the loader for the lines of this thread
    bring: DeviceFunction                 # bring(operand, places, k, end, held): global memory to registers
    slot: DeviceFunction                  # slot(n): (line, k) of the n-th vector of this thread, within the strip
    count: int                            # vectors of a thread
    places: int
    held: int


@cache
def deal(loader: Loader, lines: int, steps: int, threads: int) -> Dealt:
    """How a block of so many threads shares a strip of lines × steps numbers. ValueError where it cannot be shared evenly."""
    place, chunk, k_first, vector, width = loader
    length = (steps if k_first else lines) // vector                           # vectors in a row: a power of two
    count, shift, mask = lines * steps // (threads * vector), length.bit_length() - 1, length - 1
    if count * threads * vector != lines * steps:
        raise ValueError(f"deal: {threads} threads do not share {lines} lines of {steps} in vectors of {vector} evenly")
    kept = count if k_first or threads % length else 1                         # with lines first, a thread's lines are the same each time
    some = part(width)

    @device
    def slot(n):
        t = cuda.threadIdx.x + n * threads
        along, across = (t & mask) * vector, t >> shift
        return (across, along) if k_first else (along, across)

    @device
    def prepare(operand, first, places):
        for n in range(kept):
            where = place(operand, first + slot(n)[0])
            for w in range(width):
                places[n * width + w] = where[w]

    @device
    def bring(operand, places, k, end, held):
        for n in range(count):
            values = chunk(operand, some(places, n % kept * width), k + slot(n)[1], end)
            for v in range(vector):
                held[n * vector + v] = values[v]
    return Dealt(prepare, bring, slot, count, kept * width, count * vector)
