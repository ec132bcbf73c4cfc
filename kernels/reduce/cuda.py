"""Many values into one on a GPU: a block takes a part of the reduction of several outputs, and keeps to one order of adding.

A block's 256 threads are some outputs times some lanes. Where neighbours in memory are reduced ("rows"), a warp's 32 lanes walk along the
values of one output together, and a block has 8 outputs; where neighbours are different outputs ("columns"), 32 threads side by side have
an output each, and 8 lanes share the reduction. Either way a warp reads 32 neighbours. A lane adds up 64 values at most; the lanes are then
added in a tree in shared memory. A longer reduction is cut into parts, whose results are reduced again: the cut is a function of the shape,
so the same bits come out everywhere, and the rounding error hardly grows with the length.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from ..cuda.host import axis_arguments, blocks, steps
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float32, float64, int32, int64, kernel, scalar_of, uint8
from .cuda_lines import (
    ALL,
    arg_reduce,
    cumulative_sum,
    extreme_backward,
    line_configurations,
    offset,
    prod_backward,
    walk,
    walk_parameters,
)

__all__ = ["arg_reduce", "configurations", "cumulative_sum", "extreme_backward", "prod_backward", "reduce"]
THREADS, EACH = 256, 64


def first_value(op: str, T: Scalar) -> float | int:
    """What a reduction begins with: it changes nothing."""
    if op in ("max", "min"):
        if T.dtype.kind == "f":
            return -math.inf if op == "max" else math.inf
        limits = np.iinfo(T.dtype)
        return int(limits.min if op == "max" else limits.max)
    return {"sum": 0, "prod": 1, "any": 0, "all": 1}[op]


JOINED = {
    "sum": device(lambda a, b: a + b),
    "prod": device(lambda a, b: a * b),
    "max": device(lambda a, b: a if a > b or a != a else b),                # of a number and NaN, NaN
    "min": device(lambda a, b: a if a < b or a != a else b),
    "any": device(lambda a, b: a | b),
    "all": device(lambda a, b: a & b),
}
NUMBERS, TRUTHS = ("sum", "prod", "max", "min"), ("any", "all")


def together(op: str, U: Scalar) -> tuple[str, ...]:
    """The ops that share a kernel with this one: those of whole numbers, and those of truths."""
    return TRUTHS if op in TRUTHS else (op,) if U.dtype.kind == "f" else NUMBERS


@cache
def joined(ops: tuple[str, ...], U: Scalar) -> DeviceFunction:
    """f(n, a, b): ops[n] of two numbers. A launch has one n, so its threads branch alike."""
    first = JOINED[ops[0]]
    if len(ops) == 1:
        return device(lambda n, a, b: U(first(a, b)))
    rest = joined(ops[1:], U)
    return device(lambda n, a, b: U(first(a, b)) if n == 0 else rest(n - 1, a, b))


@cache
def reduce_part(ops: tuple[str, ...], T: Scalar, U: Scalar, rows: bool) -> CudaKernel:
    """y[part, i] = op of `begin` and the part's values x[i, ·], by `divisor`, where op is ops[n]. Blocks: (outputs, parts).

    Only sums of floating numbers are divided, for a mean.
    """
    join, truth, divided = joined(ops, U), ops == TRUTHS, ops == ("sum",)
    lanes, apart = (32, 1) if rows else (8, 32)                            # `apart`: from a lane to the next, in threads
    outputs, halvings = THREADS // lanes, lanes.bit_length() - 1

    @kernel(f"n: int32, begin: {U}, divisor: {U}, x: {T}*, y: {U}*, size: int64, R: int64, part: int64, "
            f"{walk_parameters('k')}, {walk_parameters('r')}", threads=THREADS)
    def reduce_part(n, begin, divisor, x, y, size, R, part, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5,
                    r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5):
        held = cuda.shared.array(THREADS, U)
        t = cuda.threadIdx.x
        lane, i = ((t & 31), (t >> 5)) if rows else ((t >> 5), (t & 31))
        i += cuda.blockIdx.x * outputs
        first = cuda.blockIdx.y * part
        total = begin
        if i < size:
            at = offset(i, k, k_n0, k_n1, k_n2, k_n3, k_n4, k_s0, k_s1, k_s2, k_s3, k_s4, k_s5)
            for j in range(first + lane, min(R, first + part), lanes):
                value = x[at + offset(j, r, r_n0, r_n1, r_n2, r_n3, r_n4, r_s0, r_s1, r_s2, r_s3, r_s4, r_s5)]
                total = join(n, total, U(value != T(0) if truth else value))
        held[t] = total
        cuda.syncthreads()
        for step in range(halvings):
            half = lanes >> (step + 1)
            if lane < half:
                held[t] = join(n, held[t], held[t + half * apart])
            cuda.syncthreads()
        if lane == 0 and i < size:
            y[cuda.blockIdx.y * size + i] = held[t] / divisor if divided else held[t]
    return reduce_part


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    made = [(reduce_part, ((op,), T, T, rows)) for op in NUMBERS for T in (float32, float64) for rows in (False, True)]
    made += [(reduce_part, (NUMBERS, T, T, rows)) for T in (int32, int64) for rows in (False, True)]
    made += [(reduce_part, (TRUTHS, T, uint8, rows)) for T in ALL for rows in (False, True)]
    made += [(reduce_part, (NUMBERS, T, int64, rows)) for T in (int32, uint8) for rows in (False, True)]
    return made + line_configurations()


def reduce(device: Any, x: Any, y: Any, op: str, axes: tuple[int, ...]) -> None:
    """reference.reduce. Eight or 32 lanes for each output, in as many parts as keep a lane to 64 values."""
    if not y.size:
        return
    shape, step = x.shape, steps(x)
    reduced = tuple([axis for axis in range(len(shape)) if axis in axes])
    kept = tuple([axis for axis in range(len(shape)) if axis not in axes])
    R = count = math.prod(shape[axis] for axis in reduced)
    mean, op = op == "mean", "sum" if op == "mean" else op
    if op in ("max", "min") and not R:
        raise ValueError(f"{op} of nothing: x is {shape}, and axes {axes} have no values")
    inner = min(reduced, key=lambda axis: abs(step[axis]) if shape[axis] > 1 else math.inf, default=None)
    rows = inner is not None and all(abs(step[inner]) <= abs(step[axis]) or shape[axis] == 1 for axis in kept)
    along = walk(shape, step, reduced)
    outputs, lanes = (8, 32) if rows else (32, 8)
    T, U, k = scalar_of(x.dtype), scalar_of(y.dtype), walk(shape, step, kept)
    ops, begin = together(op, U), first_value(op, U)
    while True:
        part = lanes * EACH
        parts = max(1, blocks(R, part))
        into = y if parts == 1 else device.empty((parts, y.size), y.dtype)
        device.launch(reduce_part(ops, T, U, rows), (blocks(y.size, outputs), parts), ops.index(op), begin,
                      (count or math.nan) if mean and parts == 1 else 1, x, into, y.size, R, part, *k, *along)
        if parts == 1:
            return
        x, R, T, rows, outputs, lanes = into, parts, U, False, 32, 8        # the parts of an output lie y.size apart: columns
        k, along = axis_arguments([y.size], [[1]]), axis_arguments([parts], [[y.size]])


