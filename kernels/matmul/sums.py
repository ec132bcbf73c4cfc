"""What becomes of finished sums of a matrix product on CUDA: bias and activation; and how the parts of a sum that was cut are added."""
from __future__ import annotations

import math
from functools import cache

from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, kernel

TANH = 2                                   # an activation: 0 is none, 1 ReLU


@cache
def finish(T: Scalar) -> DeviceFunction:
    """act(sum + bias[column]): what a dense layer does to a finished sum."""
    @device
    def finished(value, bias, column, with_bias, activation):
        if with_bias:
            value += bias[column]
        if activation == 1:
            value = T(0) if value < T(0) else value                        # so written, NaN stays
        elif activation == TANH:
            value = math.tanh(value)
        return value
    return finished


@cache
def add_parts(T: Scalar) -> CudaKernel:
    """y[i] = act(Σ over parts of sums[part, i] + bias[i mod N]), in their order; a thread for each i."""
    finished = finish(T)

    @kernel(f"sums: {T}*, bias: {T}*, y: {T}*, parts: int64, size: int64, N: int64, with_bias: int64, activation: int64", threads=256)
    def add_parts(sums, bias, y, parts, size, N, with_bias, activation):
        i = cuda.grid(1)
        if i < size:
            total = sums[i]
            for part in range(1, parts):
                total += sums[part * size + i]
            y[i] = finished(total, bias, i % N, with_bias, activation)
    return add_parts
