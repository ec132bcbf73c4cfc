"""Optimiser steps on a GPU: all parameters in one launch, one pass over each array.

A block takes 1024 neighbouring values of one array: thread t the values t, t + 256, t + 512 and t + 768, so that a warp touches neighbours
in memory, and all loads are on their way before the first sum. Which array is a block's stands in a table in the GPU's memory:

    where each parameter's blocks end, counted through all of them | sizes | addresses of g | of p | of what is remembered, one or two

The rate, and the number of a step, are read from the GPU's memory, so that a captured step is replayed with new ones. Every value stands
alone: the same bits however many multiprocessors there are.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, chain
from typing import Any

from ..cuda.host import address, blocks
from ..cuda.language import CudaKernel, Scalar, cuda, device, float32, float64, kernel, ptx, scalar_of
from ..cuda.table import write_numbers

THREADS, EACH = 256, 4
RUN = THREADS * EACH


@device
def row_of(table, count, block):
    """Whose values a block works on: the first parameter whose blocks end beyond it."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) >> 1
        if table[middle] > block:
            high = middle
        else:
            low = middle + 1
    return low


@device
def first_of(table, row, block):
    """The first of the block's values that is this thread's."""
    before = table[row - 1] if row > 0 else 0
    return (block - before) * RUN + cuda.threadIdx.x


@cache
def sgd_step(T: Scalar, momentum: bool) -> CudaKernel:
    """reference.sgd, without a velocity or with one."""
    @kernel(f"table: int64*, count: int64, rate: float64*, momentum_share: {T}, decay: {T}, nesterov: int32", threads=THREADS)
    def sgd_step(table, count, rate, momentum_share, decay, nesterov):
        row = row_of(table, count, cuda.blockIdx.x)
        first, size, by = first_of(table, row, cuda.blockIdx.x), table[count + row], T(rate[0])
        g, p = ptx.pointer(table[2 * count + row], T), ptx.pointer(table[3 * count + row], T)
        velocity = ptx.pointer(table[4 * count + row], T) if momentum else p
        slope, value, speed = cuda.local.array(EACH, T), cuda.local.array(EACH, T), cuda.local.array(EACH, T)
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                slope[k], value[k] = g[i], p[i]
                if momentum:
                    speed[k] = velocity[i]
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                d = slope[k] + decay * value[k]
                if momentum:
                    v = momentum_share * speed[k] + d
                    velocity[i] = v
                    d = d + momentum_share * v if nesterov else v
                p[i] = value[k] - by * d
    return sgd_step


@cache
def adam_numbers() -> CudaKernel:
    """numbers = what p is multiplied by, the rate over b₁, and 1 / √b₂: what is the same for all values of a step; one thread."""
    @kernel("rate: float64*, step: int64*, numbers: float64*, beta1: float64, beta2: float64, shrink: float64", threads=32)
    def adam_numbers(rate, step, numbers, beta1, beta2, shrink):
        if cuda.threadIdx.x == 0:
            t = float64(step[0])
            numbers[0] = float64(1) - rate[0] * shrink
            numbers[1] = rate[0] / (float64(1) - math.pow(beta1, t))
            numbers[2] = float64(1) / math.sqrt(float64(1) - math.pow(beta2, t))
    return adam_numbers


@cache
def adam_step(T: Scalar) -> CudaKernel:
    """reference.adam, by the numbers of the step."""
    @kernel(f"table: int64*, count: int64, numbers: float64*, pull: {T}, beta1: {T}, rest1: {T}, beta2: {T}, rest2: {T}, epsilon: {T}",
            threads=THREADS)
    def adam_step(table, count, numbers, pull, beta1, rest1, beta2, rest2, epsilon):
        row = row_of(table, count, cuda.blockIdx.x)
        first, size = first_of(table, row, cuda.blockIdx.x), table[count + row]
        keep, by, root = T(numbers[0]), T(numbers[1]), T(numbers[2])
        g, p = ptx.pointer(table[2 * count + row], T), ptx.pointer(table[3 * count + row], T)
        mean, square = ptx.pointer(table[4 * count + row], T), ptx.pointer(table[5 * count + row], T)
        slope, value = cuda.local.array(EACH, T), cuda.local.array(EACH, T)
        m, v = cuda.local.array(EACH, T), cuda.local.array(EACH, T)
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                slope[k], value[k], m[k], v[k] = g[i], p[i], mean[i], square[i]
        for k in range(EACH):
            i = first + k * THREADS
            if i < size:
                kept = keep * value[k]
                d = slope[k] + pull * kept
                m[k] = beta1 * m[k] + rest1 * d
                v[k] = beta2 * v[k] + rest2 * d * d
                mean[i], square[i] = m[k], v[k]
                p[i] = kept - by * m[k] / (math.sqrt(v[k]) * root + epsilon)
    return adam_step


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(write_numbers, ()), (adam_numbers, ()), *((adam_step, (T,)) for T in (float32, float64)),
            *((sgd_step, (T, momentum)) for T in (float32, float64) for momentum in (False, True))]


def sgd(device: Any, g: Any, velocity: Any, p: Any, rate: float, momentum: float, decay: float, nesterov: bool) -> None:
    """reference.sgd. A block for each 1024 values of a parameter. `rate` may change between replays of a captured step."""
    arrays = (g, p, velocity) if momentum else (g, p)
    table, ends = _table(device, "sgd", arrays)
    if ends:
        device.launch(sgd_step(scalar_of(p[0].dtype), bool(momentum)), ends, table, len(p), device.number(rate, "float64"), momentum,
                      decay, bool(nesterov), reaches=[*chain(*arrays)])


def adam(device: Any, g: Any, first: Any, second: Any, p: Any, rate: float, beta1: float, beta2: float, epsilon: float, decay: float,
         step: int, decoupled: bool) -> None:
    """reference.adam. A block for each 1024 values of a parameter. `rate` and `step` may change between replays of a captured step."""
    table, ends = _table(device, "adam", (g, p, first, second))
    if ends:
        numbers = device.empty((3,), "float64")
        device.launch(adam_numbers(), 1, device.number(rate, "float64"), device.number(step, "int64"), numbers, beta1, beta2,
                      decay if decoupled else 0.0)
        device.launch(adam_step(scalar_of(p[0].dtype)), ends, table, len(p), numbers, 0.0 if decoupled else decay, beta1, 1 - beta1, beta2,
                      1 - beta2, epsilon, reaches=[*g, *p, *first, *second])


def _table(device: Any, name: str, arrays: Sequence[Sequence[Any]]) -> tuple[Any, int]:
    """(the table, how many blocks there are) of g, p and what is remembered; ValueError where they do not go together."""
    p = arrays[1]
    sizes = [parameter.size for parameter in p]
    for each in arrays:
        if [array.size for array in each] != sizes or any(array.dtype != p[0].dtype for array in each):
            raise ValueError(f"{name}: arrays must have the sizes {sizes} and one dtype, as the parameters have, got "
                             f"{', '.join(f'{array.size} {array.dtype}' for array in each)}")
    ends = list(accumulate(blocks(size, RUN) for size in sizes))
    if not ends or not ends[-1]:
        return None, 0
    words = [*ends, *sizes, *(address(array) for each in arrays for array in each)]
    return device.table(words), ends[-1]
