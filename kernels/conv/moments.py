"""What a batch norm behind a convolution needs to know of it: sums of each channel, made while the result is stored.

    sums[part, 0 and 1, c] = Σ d and Σ d² over the part's rows of y, d = y[m, c] − y[the part's first row, c], in float64

A part is the rows of a tile: so a block needs no other. A thread stores numbers of two columns only (tiles.spread), and adds up what it
stores of them, measured from the first that it meets; the block then adds up its threads, in their order. norm/cuda_batch.py takes the
parts where it would else read y.
"""
from __future__ import annotations

from functools import cache

from ..cuda.language import DeviceFunction, cuda, device, float64
from ..cuda.moments import centre, seen_from

MOMENTS = 8                                # a bit of `given`, beside those of finish.py
ROOM = 7                                   # of `held`: rows met; of each of two columns the number measured from, Σ d, Σ d²


@device
def tally(held, a, b):
    """Count a row whose numbers in this thread's columns are a and b."""
    if held[0] == float64(0):
        held[1], held[4] = centre(a), centre(b)
    held[0] += float64(1)
    d, e = float64(a) - held[1], float64(b) - held[4]
    held[2] += d
    held[3] += d * d
    held[5] += e
    held[6] += e * e


@cache
def leave(columns: int, threads: int, alignment: int) -> DeviceFunction:
    """A function of (held, sums, part, j0, wide, first, channels) by which a block of `columns` columns leaves sums[part, :, first + j0:].

    Thread t has met columns 2p and 2p + 1, p = t % (columns / 2), of every so manieth row, from row t // (columns / 2) on. All call it.
    """
    pairs, room = columns // 2, ROOM
    lanes = threads // pairs

    @device
    def leave(held, sums, part, j0, wide, first, channels):
        s, t = cuda.shared.array(0, float64, alignment=alignment), cuda.threadIdx.x
        cuda.syncthreads()                                                 # nobody reads what was stored any more
        for k in range(room):
            s[k * threads + t] = held[k]
        cuda.syncthreads()
        j = j0 + t
        if t < columns and j < wide:
            near, at = (1 + 3 * (t & 1)) * threads, t >> 1
            origin, total, squares = s[near + at], s[near + threads + at], s[near + 2 * threads + at]
            for _ in range(1, lanes):
                at += pairs
                more, most = seen_from(s[near + threads + at], s[near + 2 * threads + at], s[at], s[near + at] - origin)
                total += more
                squares += most
            at = 2 * part * channels + first + j
            sums[at], sums[at + channels] = total, squares
    return leave
