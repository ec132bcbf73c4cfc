"""What runs along lines of an array on a GPU: positions of extremes, running sums, the ways back through extremes and products.

A line is the values that make one result. A warp takes a line where its lanes can share it, a thread where each value needs the one before.
"""
from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

from ..cuda.host import axis_arguments, blocks, merge, steps
from ..cuda.language import CudaKernel, Scalar, cuda, device, float32, float64, int32, int64, kernel, scalar_of, uint8
from ..cuda.walk import coordinates, place

THREADS = 256
ALL = (float32, float64, int32, int64, uint8)


def walk_parameters(name: str) -> str:
    """The part of a signature for one walk: "a: int64, a_n0: int64, …, a_s5: int64"."""
    return f"{name}: int64, " + ", ".join([f"{name}_n{i}: int64" for i in range(5)] + [f"{name}_s{i}: int64" for i in range(6)])


@device
def offset(i, axes, n0, n1, n2, n3, n4, s0, s1, s2, s3, s4, s5):
    """How far element i of a walk lies from its first."""
    if axes == 1:
        return i * s5
    return place(coordinates(i, axes, n0, n1, n2, n3, n4), s0, s1, s2, s3, s4, s5)


@cache
def arg_reduce_lines(T: Scalar) -> CudaKernel:
    """y[i] = where x[i, ·] is largest, or smallest, first; NaN counts as both. A warp for each output."""
    @device
    def before(largest, a, i, b, j):
        """Whether a at i goes before b at j."""
        if a != a or b != b:
            return a != a and (b == b or i < j)
        return (a > b if largest else a < b) or (a == b and i < j)

    @kernel(f"largest: int32, x: {T}*, y: int64*, size: int64, R: int64, {walk_parameters('k')}, r: int64", threads=THREADS)
    def arg_reduce_lines(largest, x, y, size, R, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5, r):
        values, places = cuda.shared.array(THREADS, T), cuda.shared.array(THREADS, int64)
        t = cuda.threadIdx.x
        lane, i = t & 31, cuda.blockIdx.x * (THREADS // 32) + (t >> 5)
        if i < size and lane < R:
            at = offset(i, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5)
            best, where = x[at + lane * r], int64(lane)
            for j in range(lane + 32, R, 32):
                value = x[at + j * r]
                if before(largest, value, j, best, where):
                    best, where = value, j
            values[t], places[t] = best, where
        cuda.syncthreads()
        for step in range(5):
            half = 16 >> step
            if i < size and lane < half and lane + half < R:
                if before(largest, values[t + half], places[t + half], values[t], places[t]):
                    values[t], places[t] = values[t + half], places[t + half]
            cuda.syncthreads()
        if i < size and lane == 0:
            y[i] = places[t]
    return arg_reduce_lines


@cache
def cumulative_sum_lines(T: Scalar) -> CudaKernel:
    """y[i, j] = Σ x[i, j'] for j' ≤ j, or ≥ j. A thread for each line, along which it walks."""
    @kernel(f"reverse: int32, x: {T}*, y: {T}*, size: int64, R: int64, {walk_parameters('k')}, {walk_parameters('q')}, r: int64, s: int64",
            threads=THREADS)
    def cumulative_sum_lines(reverse, x, y, size, R, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5,
                             q, q_n0, q_n1, q_n2, q_n3, q_n4, q_s0, q_s1, q_s2, q_s3, q_s4, q_s5, r, s):
        i = cuda.grid(1)
        if i < size:
            start = offset(i, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5)
            into = offset(i, q, q_n0, q_n1, q_n2, q_n3, q_n4, q_s0, q_s1, q_s2, q_s3, q_s4, q_s5)
            total = T(0)
            for step in range(R):
                j = R - 1 - step if reverse else step
                total = T(total + x[start + j * r])
                y[into + j * s] = total
    return cumulative_sum_lines


@cache
def extreme_backward_lines(T: Scalar) -> CudaKernel:
    """dx[i, j] = g[i] at the first j with x[i, j] = y[i], else 0. A warp for each i, which looks for the place and then fills the line."""
    @kernel(f"g: {T}*, x: {T}*, y: {T}*, dx: {T}*, size: int64, R: int64, {walk_parameters('k')}, {walk_parameters('r')}", threads=THREADS)
    def extreme_backward_lines(g, x, y, dx, size, R, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5,
                               r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5):
        places = cuda.shared.array(THREADS, int64)
        t = cuda.threadIdx.x
        lane, i = t & 31, cuda.blockIdx.x * (THREADS // 32) + (t >> 5)
        first, at = R, int64(0)
        if i < size:
            at = offset(i, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5)
            most = y[i]
            for j in range(lane, R, 32):
                value = x[at + offset(j, r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5)]
                if value == most or (value != value and most != most):
                    first = min(first, int64(j))
        places[t] = first
        cuda.syncthreads()
        for step in range(5):
            half = 16 >> step
            if lane < half:
                places[t] = min(places[t], places[t + half])
            cuda.syncthreads()
        if i < size:
            for j in range(lane, R, 32):
                place_of_j = at + offset(j, r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5)
                dx[place_of_j] = g[i] if j == places[t - lane] else T(0)
    return extreme_backward_lines


@cache
def prod_backward_lines(T: Scalar) -> CudaKernel:
    """dx[i, j] = g[i] · Π x[i, j'] over j' ≠ j. A thread for each line, along which it walks down and up."""
    @kernel(f"g: {T}*, x: {T}*, dx: {T}*, size: int64, R: int64, {walk_parameters('k')}, {walk_parameters('r')}", threads=THREADS)
    def prod_backward_lines(g, x, dx, size, R, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5,
                            r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5):
        i = cuda.grid(1)
        if i < size:
            start = offset(i, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5)
            before, after = float64(g[i]), float64(1)
            for j in range(R):
                at = start + offset(j, r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5)
                dx[at] = T(before)
                before *= float64(x[at])
            for step in range(R):
                at = start + offset(R - 1 - step, r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5)
                dx[at] = T(float64(dx[at]) * after)
                after *= float64(x[at])
    return prod_backward_lines


def line_configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    made = [(arg_reduce_lines, (T,)) for T in ALL]
    made += [(template, (T,)) for template in (extreme_backward_lines, prod_backward_lines) for T in (float32, float64)]
    return made + [(cumulative_sum_lines, (T,)) for T in ALL[:4]]


@lru_cache(maxsize=4096)
def walk(shape: tuple[int, ...], step: tuple[int, ...], axes: tuple[int, ...]) -> list[int]:
    """A kernel's arguments for a walk along some of an array's axes."""
    return axis_arguments(*merge([shape[axis] for axis in axes], [[step[axis] for axis in axes]]))


def _lines(x: Any, axes: tuple[int, ...]) -> list[int]:
    """How many values of x are reduced into one, and a kernel's arguments for the walks to each result's first value, and along `axes`."""
    shape, step = x.shape, steps(x)
    return [math.prod(shape[axis] for axis in axes), *walk(shape, step, tuple([axis for axis in range(len(shape)) if axis not in axes])),
            *walk(shape, step, axes)]


def extreme_backward(device: Any, g: Any, x: Any, y: Any, dx: Any, axes: tuple[int, ...]) -> None:
    """reference.extreme_backward. A warp for each maximum or minimum."""
    if dx.size:
        device.launch(extreme_backward_lines(scalar_of(x.dtype)), blocks(y.size, THREADS // 32), g, x, y, dx, y.size, *_lines(x, axes))


def prod_backward(device: Any, g: Any, x: Any, dx: Any, axes: tuple[int, ...]) -> None:
    """reference.prod_backward. A thread for each product."""
    if dx.size:
        device.launch(prod_backward_lines(scalar_of(x.dtype)), blocks(g.size, THREADS), g, x, dx, g.size, *_lines(x, axes))


def arg_reduce(device: Any, x: Any, y: Any, op: str, axis: int) -> None:
    """reference.arg_reduce. A warp for each output."""
    if y.size:
        shape, step = x.shape, steps(x)
        device.launch(arg_reduce_lines(scalar_of(x.dtype)), blocks(y.size, THREADS // 32), int(op == "argmax"), x, y, y.size, shape[axis],
                      *walk(shape, step, tuple([i for i in range(len(shape)) if i != axis % len(shape)])), step[axis])


def cumulative_sum(device: Any, x: Any, y: Any, axis: int, reverse: bool) -> None:
    """reference.cumulative_sum. A thread for each line."""
    if y.size:
        shape = x.shape
        others = tuple([i for i in range(len(shape)) if i != axis % len(shape)])
        lines = math.prod(shape[i] for i in others)
        device.launch(cumulative_sum_lines(scalar_of(x.dtype)), blocks(lines, THREADS), int(reverse), x, y, lines, shape[axis],
                      *walk(shape, steps(x), others), *walk(shape, steps(y), others), steps(x)[axis], steps(y)[axis])
