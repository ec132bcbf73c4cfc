"""(x − mean) / deviation on a GPU: one pass, in which thread t of a block takes the values t, t + 256, t + 512 and t + 768 of its 1024.

The channel of a block's first value costs one division of 64 bits, that of each value one of 32. Means and deviations stay in the cache.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, Scalar, cuda, float32, int32, kernel, scalar_of, uint8, uint32
from ..cuda.walk import quotient

THREADS, EACH = 256, 4
BLOCK = THREADS * EACH


@cache
def normalize_values(T: Scalar) -> CudaKernel:
    """y[i] = (x[i] − mean[i % C]) / deviation[i % C]."""
    @kernel(f"x: {T}*, mean: float32*, deviation: float32*, y: float32*, size: int64, C: int64", threads=THREADS)
    def normalize_values(x, mean, deviation, y, size, C):
        start = cuda.blockIdx.x * BLOCK
        within = start - quotient(start, C) * C + cuda.threadIdx.x
        held = cuda.local.array(EACH, float32)
        for k in range(EACH):
            i = start + cuda.threadIdx.x + k * THREADS
            if i < size:
                held[k] = float32(x[i])
        for k in range(EACH):
            i = start + cuda.threadIdx.x + k * THREADS
            if i < size:
                c = int32(uint32(within + k * THREADS) % uint32(C))
                y[i] = (held[k] - mean[c]) / deviation[c]
    return normalize_values


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(normalize_values, (T,)) for T in (uint8, float32)]


def normalize(device: Any, x: Any, mean: Any, deviation: Any, y: Any) -> None:
    """reference.normalize. A thread for each four values."""
    if y.size:
        device.launch(normalize_values(scalar_of(x.dtype)), blocks(y.size, BLOCK), x, mean, deviation, y, y.size, y.shape[1])
