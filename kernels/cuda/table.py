"""Whole numbers that a kernel looks up, put into the GPU's memory by kernels that have them as arguments: how a device makes its `table`.

Nothing is copied from the host, which would have to wait until the memory it is copied from may be written again. Where the numbers are
addresses of arrays, the launch that looks them up says of which (`reaches`): a captured step keeps them, and the emulator finds them.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from .host import blocks
from .language import CudaKernel, cuda, int32, kernel

EACH = 64                                  # numbers of a launch
WORDS = ", ".join(f"w{k}: int64" for k in range(EACH))


@cache
def write_numbers() -> CudaKernel:
    """table[first:first + count] = w0, w1, …: a number for each thread."""
    @kernel(f"table: int64*, first: int64, count: int64, {WORDS}", threads=EACH)
    def write_numbers(table, first, count, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, w16, w17, w18, w19, w20,
                      w21, w22, w23, w24, w25, w26, w27, w28, w29, w30, w31, w32, w33, w34, w35, w36, w37, w38, w39, w40, w41, w42, w43,
                      w44, w45, w46, w47, w48, w49, w50, w51, w52, w53, w54, w55, w56, w57, w58, w59, w60, w61, w62, w63):
        words = (w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15, w16, w17, w18, w19, w20, w21, w22, w23, w24, w25,
                 w26, w27, w28, w29, w30, w31, w32, w33, w34, w35, w36, w37, w38, w39, w40, w41, w42, w43, w44, w45, w46, w47, w48, w49,
                 w50, w51, w52, w53, w54, w55, w56, w57, w58, w59, w60, w61, w62, w63)
        k = int32(cuda.threadIdx.x)
        if k < count:
            table[first + k] = words[k]
    return write_numbers


def written(device: Any, numbers: Sequence[int]) -> Any:
    """An int64 array of these numbers, for kernels that are launched after this."""
    table = device.empty((len(numbers),), "int64")
    for launch in range(blocks(len(numbers), EACH)):
        some = numbers[launch * EACH:(launch + 1) * EACH]
        device.launch(write_numbers(), 1, table, launch * EACH, len(some), *some, *[0] * (EACH - len(some)))
    return table
