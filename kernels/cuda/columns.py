"""A matrix (M, C) whose rows are reduced: which thread has which channels of which rows, and sums along the rows in one order.

A block has a slice of at most 32 neighbouring channels and a chunk of rows. `across` threads side by side take a row's slice, each of them
`width` numbers in one load; the next `across` threads take the next row, and so on. With 32 channels and fewer a block walks over memory
without gaps; with more it reads pieces of 128 bytes, and the blocks beside it, which run at the same time, read what lies between.

A thread adds up in float64 what it meets of its own channels. The block adds up its threads in a tree and leaves one sum per channel; the
chunks are then added up, in their order, by whoever needs the totals. The cut into slices and chunks is a function of the shape alone.
"""
from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from .host import blocks
from .language import DeviceFunction, cuda, device, float64
from .walk import quotient

THREADS = 512
SLICE = 32                                 # channels of a block, at most
BLOCKS = 128                               # that take part in a sum: one for each multiprocessor, all of them at once


class Columns(NamedTuple):
    """How a matrix is shared out: threads across a slice, slices, rows side by side in a block, rows of a chunk, chunks."""

    across: int
    slices: int
    lanes: int
    rows: int
    chunks: int


@lru_cache(maxsize=1024)
def columns(M: int, C: int, width: int, each: int) -> Columns:
    """The cut of M rows of C channels for threads that take `width` channels of `each` rows at once.

    A chunk is at least what a block takes at once, and there are no more chunks than make BLOCKS blocks: every block that needs the totals
    adds up the chunks of its slice for itself, which takes the longer, the more there are.
    """
    slices = blocks(C, SLICE)
    across = blocks(C // width, slices)
    lanes = THREADS // across
    chunks = max(1, min(BLOCKS // slices, M // (lanes * each)))
    rows = max(1, blocks(M, chunks))
    return Columns(across, slices, lanes, rows, max(1, blocks(M, rows)))


@device
def place(across, width):
    """(row among the rows that the block takes at once, first channel) of this thread; blockIdx.x is the slice."""
    t = cuda.threadIdx.x
    lane = quotient(t, across)
    return lane, ((cuda.blockIdx.x - lane) * across + t) * width


@cache
def column_totals(count: int) -> DeviceFunction:
    """A function of (values, lane, lanes, across): `count` float64 in a local array become their sums over the lanes, for every thread.

    Thread t = lane · across + column; all threads of the block call it, those of lanes beyond `lanes` too. Half of the lanes that are left
    add the other half's to theirs, until one is left.
    """
    room = count * THREADS

    @device
    def column_totals(values, lane, lanes, across):
        held = cuda.shared.array(room, float64)                            # number j of thread t at j · THREADS + t: no bank conflicts
        t = cuda.threadIdx.x
        for j in range(count):
            held[j * THREADS + t] = values[j]
        cuda.syncthreads()
        left = lanes
        while left > 1:
            half = (left + 1) >> 1
            if lane < left - half:
                for j in range(count):
                    held[j * THREADS + t] += held[j * THREADS + t + half * across]
            cuda.syncthreads()
            left = half
        for j in range(count):
            values[j] = held[j * THREADS + t - lane * across]
    return column_totals


@cache
def chunk_totals(count: int) -> DeviceFunction:
    """A function of (sums, chunks, C, span, values) by which a block adds up the chunks' sums (chunks, count, C) of its slice of `span`.

    It returns (lane, channel): `count` totals of the channel are in `values`, a local array, of every lane.
    """
    over_lanes = column_totals(count)

    @device
    def chunk_totals(sums, chunks, C, span, values):
        lane, c = place(span, 1)
        lanes = quotient(THREADS, span)
        for j in range(count):
            values[j] = float64(0)
        if lane < lanes and c < C:
            for chunk in range(lane, chunks, lanes):
                for j in range(count):
                    values[j] += sums[(chunk * count + j) * C + c]
        over_lanes(values, lane, lanes, span)
        return lane, c
    return chunk_totals
