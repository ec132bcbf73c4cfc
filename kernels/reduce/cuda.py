"""Many values into one on a GPU: a block takes a part of the reduction of several outputs, and keeps to one order of adding.

A block's 256 threads are some outputs times some lanes. Where neighbours in memory are reduced ("rows"), a warp's 32 lanes walk along the
values of one output together, and a block has 8 outputs; where neighbours are different outputs ("columns"), 32 threads side by side have
an output each, and 8 lanes share the reduction. Either way a warp reads 32 neighbours. A lane adds up 64 values at most; the lanes are then
added in a tree in shared memory. A longer reduction is cut into parts, whose results are reduced again: the cut is a function of the shape,
so the same bits come out everywhere, and the rounding error hardly grows with the length.
"""
from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np

from ..cuda.host import axis_arguments, blocks, merge, steps
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float32, float64, int32, int64, kernel, scalar_of, uint8
from ..cuda.walk import coordinates, place

THREADS, EACH = 256, 64
FLOATS = (float32, float64)
ALL = (float32, float64, int32, int64, uint8)


def _axes(name: str) -> str:
    """The part of a signature for one walk: "a: int64, a_n0: int64, …, a_s5: int64"."""
    return f"{name}: int64, " + ", ".join([f"{name}_n{i}: int64" for i in range(5)] + [f"{name}_s{i}: int64" for i in range(6)])


@device
def offset(i, axes, n0, n1, n2, n3, n4, s0, s1, s2, s3, s4, s5):
    """How far element i of a walk lies from its first."""
    if axes == 1:
        return i * s5
    return place(coordinates(i, axes, n0, n1, n2, n3, n4), s0, s1, s2, s3, s4, s5)


def first_value(op: str, T: Scalar) -> float | int:
    """What a reduction begins with: it changes nothing."""
    if op in ("max", "min"):
        if T.dtype.kind == "f":
            return -math.inf if op == "max" else math.inf
        limits = np.iinfo(T.dtype)
        return int(limits.min if op == "max" else limits.max)
    return {"sum": 0, "prod": 1, "any": 0, "all": 1}[op]


@cache
def joined(op: str, T: Scalar) -> DeviceFunction:
    """op of two numbers; the larger and the smaller of a number and NaN are NaN."""
    return device({
        "sum": lambda a, b: a + b,
        "prod": lambda a, b: a * b,
        "max": lambda a, b: a if a > b or a != a else b,
        "min": lambda a, b: a if a < b or a != a else b,
        "any": lambda a, b: a | b,
        "all": lambda a, b: a & b,
    }[op])


@cache
def reduce_part(op: str, T: Scalar, U: Scalar, rows: bool) -> CudaKernel:
    """y[part, i] = op of the part's values x[i, ·]. Blocks: (outputs, parts)."""
    join, begin, truth = joined(op, U), first_value(op, U), op in ("any", "all")
    lanes, apart = (32, 1) if rows else (8, 32)                            # `apart`: from a lane to the next, in threads
    outputs, halvings = THREADS // lanes, lanes.bit_length() - 1

    @kernel(f"x: {T}*, y: {U}*, size: int64, R: int64, part: int64, {_axes('k')}, {_axes('r')}", threads=THREADS)
    def reduce_part(x, y, size, R, part, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5,
                    r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5):
        held = cuda.shared.array(THREADS, U)
        t = cuda.threadIdx.x
        lane, i = ((t & 31), (t >> 5)) if rows else ((t >> 5), (t & 31))
        i += cuda.blockIdx.x * outputs
        first = cuda.blockIdx.y * part
        total = U(begin)
        if i < size:
            at = offset(i, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5)
            for j in range(first + lane, min(R, first + part), lanes):
                value = x[at + offset(j, r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5)]
                total = U(join(total, U(value != T(0) if truth else value)))
        held[t] = total
        cuda.syncthreads()
        for step in range(halvings):
            half = lanes >> (step + 1)
            if lane < half:
                held[t] = U(join(held[t], held[t + half * apart]))
            cuda.syncthreads()
        if lane == 0 and i < size:
            y[cuda.blockIdx.y * size + i] = held[t]
    return reduce_part


@cache
def arg_reduce_lines(op: str, T: Scalar) -> CudaKernel:
    """y[i] = where x[i, ·] is largest ("argmax") or smallest first; NaN counts as both. A warp for each output."""
    largest = op == "argmax"

    @device
    def before(a, i, b, j):
        """Whether a at i goes before b at j."""
        if a != a or b != b:
            return a != a and (b == b or i < j)
        return (a > b if largest else a < b) or (a == b and i < j)

    @kernel(f"x: {T}*, y: int64*, size: int64, R: int64, {_axes('k')}, r: int64", threads=THREADS)
    def arg_reduce_lines(x, y, size, R, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5, r):
        values, places = cuda.shared.array(THREADS, T), cuda.shared.array(THREADS, int64)
        t = cuda.threadIdx.x
        lane, i = t & 31, cuda.blockIdx.x * (THREADS // 32) + (t >> 5)
        if i < size and lane < R:
            at = offset(i, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5)
            best, where = x[at + lane * r], int64(lane)
            for j in range(lane + 32, R, 32):
                value = x[at + j * r]
                if before(value, j, best, where):
                    best, where = value, j
            values[t], places[t] = best, where
        cuda.syncthreads()
        for step in range(5):
            half = 16 >> step
            if i < size and lane < half and lane + half < R:
                if before(values[t + half], places[t + half], values[t], places[t]):
                    values[t], places[t] = values[t + half], places[t + half]
            cuda.syncthreads()
        if i < size and lane == 0:
            y[i] = places[t]
    return arg_reduce_lines


@cache
def cumulative_sum_lines(T: Scalar, reverse: bool) -> CudaKernel:
    """y[i, j] = Σ x[i, j'] for j' ≤ j, or ≥ j. A thread for each line, along which it walks."""
    @kernel(f"x: {T}*, y: {T}*, size: int64, R: int64, {_axes('k')}, {_axes('q')}, r: int64, s: int64", threads=THREADS)
    def cumulative_sum_lines(x, y, size, R, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5,
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


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    made = [(reduce_part, (op, T, T, rows)) for op in ("sum", "prod", "max", "min") for T in ALL[:4] for rows in (False, True)]
    made += [(reduce_part, (op, T, uint8, rows)) for op in ("any", "all") for T in ALL for rows in (False, True)]
    made += [(reduce_part, ("sum", T, int64, rows)) for T in (int32, uint8) for rows in (False, True)]
    made += [(arg_reduce_lines, (op, T)) for op in ("argmax", "argmin") for T in ALL]
    return made + [(cumulative_sum_lines, (T, reverse)) for T in ALL[:4] for reverse in (False, True)]


@lru_cache(maxsize=4096)
def _walk(shape: tuple[int, ...], step: tuple[int, ...], axes: tuple[int, ...]) -> list[int]:
    """A kernel's arguments for a walk along some of an array's axes."""
    return axis_arguments(*merge([shape[axis] for axis in axes], [[step[axis] for axis in axes]]))


def reduce(device: Any, x: Any, y: Any, op: str, axes: tuple[int, ...]) -> None:
    """reference.reduce. Eight or 32 lanes for each output, in as many parts as keep a lane to 64 values."""
    if not y.size:
        return
    shape, step = x.shape, steps(x)
    reduced = tuple([axis for axis in range(len(shape)) if axis in axes])
    kept = tuple([axis for axis in range(len(shape)) if axis not in axes])
    R = math.prod(shape[axis] for axis in reduced)
    if op in ("max", "min") and not R:
        raise ValueError(f"{op} of nothing: x is {shape}, and axes {axes} have no values")
    inner = min(reduced, key=lambda axis: abs(step[axis]) if shape[axis] > 1 else math.inf, default=None)
    rows = inner is not None and all(abs(step[inner]) <= abs(step[axis]) or shape[axis] == 1 for axis in kept)
    walk = _walk(shape, step, reduced)
    outputs, lanes = (8, 32) if rows else (32, 8)
    T, U, k = scalar_of(x.dtype), scalar_of(y.dtype), _walk(shape, step, kept)
    while True:
        part = lanes * EACH
        parts = max(1, blocks(R, part))
        into = y if parts == 1 else device.empty((parts, y.size), y.dtype)
        device.launch(reduce_part(op, T, U, rows), (blocks(y.size, outputs), parts), x, into, y.size, R, part, *k, *walk)
        if parts == 1:
            return
        x, R, T, rows, outputs, lanes = into, parts, U, False, 32, 8        # the parts of an output lie y.size apart: columns
        k, walk = axis_arguments([y.size], [[1]]), axis_arguments([parts], [[y.size]])


def arg_reduce(device: Any, x: Any, y: Any, op: str, axis: int) -> None:
    """reference.arg_reduce. A warp for each output."""
    if y.size:
        shape, step = x.shape, steps(x)
        device.launch(arg_reduce_lines(op, scalar_of(x.dtype)), blocks(y.size, THREADS // 32), x, y, y.size, shape[axis],
                      *_walk(shape, step, tuple([i for i in range(len(shape)) if i != axis % len(shape)])), step[axis])


def cumulative_sum(device: Any, x: Any, y: Any, axis: int, reverse: bool) -> None:
    """reference.cumulative_sum. A thread for each line."""
    if y.size:
        shape = x.shape
        others = tuple([i for i in range(len(shape)) if i != axis % len(shape)])
        lines = math.prod(shape[i] for i in others)
        device.launch(cumulative_sum_lines(scalar_of(x.dtype), bool(reverse)), blocks(lines, THREADS), x, y, lines, shape[axis],
                      *_walk(shape, steps(x), others), *_walk(shape, steps(y), others), steps(x)[axis], steps(y)[axis])
