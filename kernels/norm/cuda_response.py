"""Local response normalisation on a GPU: a thread for each value, which looks at the channels beside its own.

Neighbouring threads have neighbouring channels, so what a thread reads of its neighbours is in the first-level cache. Memory moves 8 bytes
for each float32 forward, and 28 backward, in two launches: the first writes what every value adds to the gradients of its neighbours.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float32, float64, kernel, scalar_of
from ..cuda.walk import quotient

THREADS = 256
WINDOW = "size: int64, C: int64, before: int64, after: int64"


@cache
def base(T: Scalar) -> DeviceFunction:
    """k + share · Σ x² over the channels c − before … c + after that exist, of the row that begins at `start`."""
    @device
    def base(x, start, c, C, before, after, share, k):
        total = T(0)
        for j in range(start + max(0, c - before), start + min(C, c + after + 1)):
            total += x[j] * x[j]
        return k + share * total
    return base


@cache
def response(T: Scalar) -> CudaKernel:
    """y = x / base^beta."""
    base_of = base(T)

    @kernel(f"x: {T}*, y: {T}*, {WINDOW}, share: {T}, beta: {T}, k: {T}", threads=THREADS)
    def response(x, y, size, C, before, after, share, beta, k):
        i = cuda.grid(1)
        if i < size:
            start = quotient(i, C) * C
            y[i] = x[i] / math.pow(base_of(x, start, i - start, C, before, after, share, k), beta)
    return response


@cache
def shares(T: Scalar) -> CudaKernel:
    """share = g · x / base^(beta + 1)."""
    base_of = base(T)

    @kernel(f"g: {T}*, x: {T}*, shared: {T}*, {WINDOW}, share: {T}, beta: {T}, k: {T}", threads=THREADS)
    def shares(g, x, shared, size, C, before, after, share, beta, k):
        i = cuda.grid(1)
        if i < size:
            start = quotient(i, C) * C
            below = base_of(x, start, i - start, C, before, after, share, k)
            shared[i] = g[i] / math.pow(below, beta) * x[i] / below
    return shares


@cache
def response_gradient(T: Scalar) -> CudaKernel:
    """dx = g / base^beta − factor · x · Σ shared over the channels c − after … c + before: those whose windows hold c."""
    base_of = base(T)

    @kernel(f"g: {T}*, x: {T}*, shared: {T}*, dx: {T}*, {WINDOW}, share: {T}, beta: {T}, k: {T}, factor: {T}", threads=THREADS)
    def response_gradient(g, x, shared, dx, size, C, before, after, share, beta, k, factor):
        i = cuda.grid(1)
        if i < size:
            start = quotient(i, C) * C
            c, total = i - start, T(0)
            for j in range(start + max(0, c - after), start + min(C, c + before + 1)):
                total += shared[j]
            dx[i] = g[i] / math.pow(base_of(x, start, c, C, before, after, share, k), beta) - factor * x[i] * total
    return response_gradient


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(template, (T,)) for T in (float32, float64) for template in (response, shares, response_gradient)]


def local_response_norm_forward(device: Any, x: Any, y: Any, size: int, alpha: float, beta: float, k: float) -> None:
    """reference.local_response_norm_forward. A thread for each value."""
    if x.size:
        device.launch(response(scalar_of(x.dtype)), blocks(x.size, THREADS), x, y, *_window(x, size), alpha / size, beta, k)


def local_response_norm_backward(device: Any, g: Any, x: Any, dx: Any, size: int, alpha: float, beta: float, k: float) -> None:
    """reference.local_response_norm_backward. A thread for each value, twice."""
    if x.size:
        shared, window, T = device.empty(x.shape, x.dtype), _window(x, size), scalar_of(x.dtype)
        device.launch(shares(T), blocks(x.size, THREADS), g, x, shared, *window, alpha / size, beta, k)
        device.launch(response_gradient(T), blocks(x.size, THREADS), g, x, shared, dx, *window, alpha / size, beta, k,
                      2 * alpha / size * beta)


def _window(x: Any, size: int) -> tuple[int, int, int, int]:
    """(values, channels, channels before and after one that its window holds)."""
    return x.size, x.shape[1], size // 2, (size - 1) // 2
