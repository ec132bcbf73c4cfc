"""What becomes of a sum on the GPU: the definition is kernels/epilogue.py; and how sums that were made in parts are added."""
from __future__ import annotations

import math
from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, kernel

SCALE, BIAS, RESIDUAL = 1, 2, 4            # bits of `given`
LANES, SIDE, THREADS = 8, 32, 256          # of add_parts: threads that share a number's parts, numbers of a block, and their product


def after(T: Scalar) -> str:
    """The part of a kernel's signature for what follows a sum; arrays that are not `given` are any array."""
    return f"scale: {T}*, bias: {T}*, residual: {T}*, given: int64, activation: int64"


def after_arguments(scale: Any, bias: Any, residual: Any, activation: int, any_array: Any) -> tuple[Any, ...]:
    """The arguments for it."""
    given = [bit for bit, array in ((SCALE, scale), (BIAS, bias), (RESIDUAL, residual)) if array is not None]
    return (*(any_array if array is None else array for array in (scale, bias, residual)), sum(given), activation)


@cache
def finish(T: Scalar) -> DeviceFunction:
    """A function of (value, at, channel, …): act(scale[channel] · value + bias[channel] + residual[at])."""
    @device
    def finished(value, at, channel, scale, bias, residual, given, activation):
        if given & SCALE:
            value *= scale[channel]
        if given & BIAS:
            value += bias[channel]
        if given & RESIDUAL:
            value += residual[at]
        if activation == 1:
            value = T(0) if value < T(0) else value                        # so written, NaN stays
        elif activation == 2:
            value = math.tanh(value)
        return value
    return finished


@cache
def add_parts(T: Scalar) -> CudaKernel:
    """y[i] = act(scale · Σ over parts of sums[part, i] + bias + residual): eight lanes for each i, each adds every eighth part.

    A warp's threads are 32 neighbours in memory. The lanes' sums are added in their order.
    """
    finished = finish(T)

    @kernel(f"sums: {T}*, y: {T}*, parts: int64, size: int64, channels: int64, {after(T)}", threads=THREADS)
    def add_parts(sums, y, parts, size, channels, scale, bias, residual, given, activation):
        held = cuda.shared.array(THREADS, T)
        t = cuda.threadIdx.x
        lane, i = t // SIDE, cuda.blockIdx.x * SIDE + t % SIDE
        total = T(0)
        if i < size:
            for part in range(lane, parts, LANES):
                total += sums[part * size + i]
        held[t] = total
        cuda.syncthreads()
        if lane == 0 and i < size:
            for other in range(1, LANES):
                total += held[other * SIDE + t]
            y[i] = finished(total, i, i % channels, scale, bias, residual, given, activation)
    return add_parts


def added(device: Any, sums: Any, y: Any, parts: int, T: Scalar, following: tuple[Any, ...]) -> None:
    """Launch add_parts: y from the sums of its parts, an array (parts, …) with y's size behind the first axis."""
    device.launch(add_parts(T), blocks(y.size, SIDE), sums, y, parts, y.size, y.shape[-1], *following)
