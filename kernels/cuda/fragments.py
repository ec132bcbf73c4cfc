"""How a warp reads its part of a step's strips from shared memory, in the registers that `mma` takes (PTX ISA 9.0, section 9.7.14.5).

A step of 64 or 128 bytes along k is 2 or 4 steps of `mma`, each of 32 bytes: 16 bfloat16 or 8 tf32. Of A, 16 lines are four registers of
each lane, of B, 8 lines are two. Where k comes first in memory, one ldmatrix brings four registers: it deals out 16 bytes of a row to four
lanes, which are two bfloat16 or one tf32 each, just as `mma` wants them. Where lines come first, bfloat16 are turned over by ldmatrix on
the way; numbers of 32 bits cannot be, and are read one by one.
"""
from __future__ import annotations

from functools import cache

from .language import DeviceFunction, cuda, device, ptx, uint16, uint32
from .staging import BYTES, location


@cache
def fragments(precision: str, k_first: bool, lines: int, depth: int, of_a: bool, own: int) -> DeviceFunction:
    """read(start, first, step, into): the registers of `own` lines from `first` on (a multiple of 32), at a step of `mma`, to an array.

    start is where the strip begins, in numbers. `into` gets 4 for each 16 lines of A, 2 for each 8 lines of B.
    """
    at, deep = location(precision, lines, depth, k_first), 32 // BYTES[precision]
    half, sixteens = deep // 2, own // 16
    T = uint16 if precision == "bf16" else uint32

    @device
    def straight(start, first, step, into):
        """Four matrices of eight lines, 16 bytes of each: of A two by two, the lines first; of B the other way round."""
        s, lane = cuda.shared.array(0, T), cuda.threadIdx.x & 31
        line = lane & 15 if of_a else (lane & 7) + (lane >> 4 << 3)
        k = (lane >> 4 if of_a else lane >> 3 & 1) * half
        for m in range(sixteens):
            x = ptx.ldmatrix4(s, start + at(first + m * 16 + line, step * deep + k))
            into[4 * m], into[4 * m + 1], into[4 * m + 2], into[4 * m + 3] = x

    @device
    def turned(start, first, step, into):
        """The same matrices, each of eight k, 16 bytes of lines of each."""
        s, lane = cuda.shared.array(0, T), cuda.threadIdx.x & 31
        line = (lane >> 3 & 1 if of_a else lane >> 4) * 8
        k = (lane & 7) + ((lane >> 4 if of_a else lane >> 3 & 1) << 3)
        for m in range(sixteens):
            x = ptx.ldmatrix4_transposed(s, start + at(first + m * 16 + line, step * deep + k))
            into[4 * m], into[4 * m + 1], into[4 * m + 2], into[4 * m + 3] = x

    @device
    def one_by_one(start, first, step, into):
        """Lane 4 g + t holds lines g (of A also g + 8) and k = t and t + 4.

        `at`, taken apart: of 32 lines, four eights are exchanged by t, so there are four addresses; all else is constant, which is free.
        """
        s, lane = cuda.shared.array(0, T), cuda.threadIdx.x & 31
        line, k = lane >> 2, lane & 3
        base = start + first + k * lines
        for m in range(sixteens):
            for r in range(4):
                up, on = (r & 1, r >> 1) if of_a else (r >> 1, r & 1)
                here = base + (((m & 1) * 16 + 8 * up + line) ^ (k << 3))
                into[4 * m + r] = ptx.load_bits(s, here, (step * deep + 4 * on) * lines + (m >> 1) * 32)
    return straight if k_first else turned if precision == "bf16" else one_by_one
