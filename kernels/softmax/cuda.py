"""Rows into probabilities on a GPU: a warp for each row, whose lanes walk along the classes together and add up what they have by shuffles.

A row is read from memory once and from the first-level cache after that. Sums over a row go lane by lane, then over the lanes in a fixed
tree; sums over the batch are made by one block, thread by thread and then in a tree, in float64: the same bits in every run.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float32, float64, kernel, ptx, scalar_of

THREADS = 256
ROWS = THREADS // 32                       # of a block
LOWEST, UNKNOWN = -math.inf, math.nan


@device
def larger(a, b):
    """The larger of two numbers; NaN, if either is."""
    return a if a > b or a != a else b


@cache
def over_lanes(T: Scalar) -> tuple[DeviceFunction, DeviceFunction]:
    """(the largest, the sum) of a warp's 32 numbers, the same in every lane."""
    @device
    def largest(x):
        for k in range(5):
            x = larger(x, ptx.shuffle_xor(x, 16 >> k))
        return x

    @device
    def total(x):
        for k in range(5):
            x += ptx.shuffle_xor(x, 16 >> k)
        return x
    return largest, total


@cache
def row_scale(T: Scalar) -> DeviceFunction:
    """(maximum, log Σ exp(x − maximum)) of a row of C numbers, by a warp."""
    largest, total = over_lanes(T)

    @device
    def row_scale(x, start, C):
        most, sum_of_powers = T(LOWEST), T(0)
        for c in range(cuda.laneid, C, 32):
            most = larger(most, x[start + c])
        most = largest(most)
        for c in range(cuda.laneid, C, 32):
            sum_of_powers += math.exp(x[start + c] - most)
        return most, math.log(total(sum_of_powers))
    return row_scale


@cache
def softmax_rows(T: Scalar, logarithm: bool) -> CudaKernel:
    """y[m, c] = softmax(x)[m, c], or its logarithm."""
    scale = row_scale(T)

    @kernel(f"x: {T}*, y: {T}*, M: int64, C: int64", threads=THREADS)
    def softmax_rows(x, y, M, C):
        row = cuda.blockIdx.x * ROWS + (cuda.threadIdx.x >> 5)
        if row < M:                                                        # of all lanes of a warp, or of none
            start = row * C
            most, log_sum = scale(x, start, C)
            for c in range(cuda.laneid, C, 32):
                log_p = x[start + c] - most - log_sum
                y[start + c] = log_p if logarithm else math.exp(log_p)
    return softmax_rows


@cache
def softmax_backward_rows(T: Scalar, logarithm: bool) -> CudaKernel:
    """dx[m, c] = y · (g − Σ g · y), or g − e^y · Σ g where y is the logarithm: a row is read twice."""
    total = over_lanes(T)[1]

    @kernel(f"g: {T}*, y: {T}*, dx: {T}*, M: int64, C: int64", threads=THREADS)
    def softmax_backward_rows(g, y, dx, M, C):
        row = cuda.blockIdx.x * ROWS + (cuda.threadIdx.x >> 5)
        if row < M:
            start, mine = row * C, T(0)
            for i in range(start + cuda.laneid, start + C, 32):
                mine += g[i] if logarithm else g[i] * y[i]
            whole = total(mine)
            for i in range(start + cuda.laneid, start + C, 32):
                dx[i] = g[i] - math.exp(y[i]) * whole if logarithm else y[i] * (g[i] - whole)
    return softmax_backward_rows


@cache
def cross_entropy_rows(T: Scalar, weighted: bool, mean: bool) -> CudaKernel:
    """Each row's loss and gradient; of the mean, gradients are divided by share[0]."""
    scale, total = row_scale(T), over_lanes(T)[1]

    @kernel(f"logits: {T}*, labels: int64*, weights: {T}*, share: float64*, losses: {T}*, gradient: {T}*, M: int64, C: int64, "
            f"smoothing: float64, ignore: int64", threads=THREADS)
    def cross_entropy_rows(logits, labels, weights, share, losses, gradient, M, C, smoothing, ignore):
        row = cuda.blockIdx.x * ROWS + (cuda.threadIdx.x >> 5)
        if row < M:
            start, label = row * C, labels[row]
            counted = label != ignore
            most, log_sum = scale(logits, start, C)
            rest, hit = T(smoothing / float64(C)), T(float64(1) - smoothing)
            loss, weight = T(0), T(0)                                      # of this lane's classes
            for c in range(cuda.laneid, C, 32):
                q = rest + (hit if c == label else T(0))
                if weighted:
                    q *= weights[c]
                weight += q
                if q != T(0):                                              # an impossible class that is not asked for costs nothing
                    loss -= q * (logits[start + c] - most - log_sum)
            loss, weight = total(loss), total(weight)
            if counted and (label < 0 or label >= C):                      # no class: an answer that cannot be overlooked
                loss = T(UNKNOWN)
            if cuda.laneid == 0:
                losses[row] = loss if counted else T(0)
            for c in range(cuda.laneid, C, 32):
                q = rest + (hit if c == label else T(0))
                if weighted:
                    q *= weights[c]
                slope = weight * math.exp(logits[start + c] - most - log_sum) - q
                if mean:
                    slope = T(float64(slope) / share[0])
                gradient[start + c] = slope if counted else T(0)
    return cross_entropy_rows


@device
def block_total(x):
    """The sum of the numbers of a block's 256 threads, in a tree; all threads take part, the first one has it."""
    sums = cuda.shared.array(THREADS, float64)
    t = cuda.threadIdx.x
    sums[t] = x
    cuda.syncthreads()
    for k in range(8):
        half = 128 >> k
        if t < half:
            sums[t] += sums[t + half]
        cuda.syncthreads()
    return sums[0]


@cache
def batch_share(T: Scalar, weighted: bool) -> CudaKernel:
    """share[0] = Σ w[labels[m]] over the examples that are not ignored; one block."""
    @kernel(f"labels: int64*, weights: {T}*, share: float64*, M: int64, C: int64, ignore: int64", threads=THREADS)
    def batch_share(labels, weights, share, M, C, ignore):
        mine = float64(0)
        for m in range(cuda.threadIdx.x, M, THREADS):
            label = labels[m]
            if label != ignore:
                if weighted:
                    mine += float64(weights[label]) if 0 <= label < C else float64(UNKNOWN)
                else:
                    mine += float64(1)
        total = block_total(mine)
        if cuda.threadIdx.x == 0:
            share[0] = total
    return batch_share


@cache
def batch_loss(T: Scalar, mean: bool) -> CudaKernel:
    """loss[0] = Σ losses, divided by share[0] where the mean is wanted; one block."""
    @kernel(f"losses: {T}*, share: float64*, loss: {T}*, M: int64", threads=THREADS)
    def batch_loss(losses, share, loss, M):
        mine = float64(0)
        for m in range(cuda.threadIdx.x, M, THREADS):
            mine += float64(losses[m])
        total = block_total(mine)
        if cuda.threadIdx.x == 0:
            loss[0] = T(total / share[0] if mean else total)
    return batch_loss


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    either = (False, True)
    return [(template, (T, *more)) for T in (float32, float64) for template, *more in (
        *((rows, logarithm) for rows in (softmax_rows, softmax_backward_rows) for logarithm in either),
        *((batch_share, weighted) for weighted in either),
        *((batch_loss, mean) for mean in either), *((cross_entropy_rows, weighted, mean) for weighted in either for mean in either))]


def log_softmax(device: Any, x: Any, y: Any) -> None:
    """reference.log_softmax. A warp for each row."""
    if x.size:
        device.launch(softmax_rows(scalar_of(x.dtype), True), blocks(x.shape[0], ROWS), x, y, *x.shape)


def softmax(device: Any, x: Any, y: Any) -> None:
    """reference.softmax. A warp for each row."""
    if x.size:
        device.launch(softmax_rows(scalar_of(x.dtype), False), blocks(x.shape[0], ROWS), x, y, *x.shape)


def log_softmax_backward(device: Any, g: Any, y: Any, dx: Any) -> None:
    """reference.log_softmax_backward. A warp for each row."""
    if g.size:
        device.launch(softmax_backward_rows(scalar_of(g.dtype), True), blocks(g.shape[0], ROWS), g, y, dx, *g.shape)


def softmax_backward(device: Any, g: Any, y: Any, dx: Any) -> None:
    """reference.softmax_backward. A warp for each row."""
    if g.size:
        device.launch(softmax_backward_rows(scalar_of(g.dtype), False), blocks(g.shape[0], ROWS), g, y, dx, *g.shape)


def cross_entropy(device: Any, logits: Any, labels: Any, weights: Any, losses: Any, gradient: Any, smoothing: float, ignore: int,
                  reduction: int) -> None:
    """reference.cross_entropy. A warp for each row, then one block for the sum; a label that is no class gives NaN."""
    (M, C), T = logits.shape, scalar_of(logits.dtype)
    weighted, mean = weights is not None, reduction == 2
    w = weights if weighted else logits
    share = device.empty((1,), "float64")
    each = losses if reduction == 0 else device.empty((M,), logits.dtype)
    if mean:
        device.launch(batch_share(T, weighted), 1, labels, w, share, M, C, ignore)
    if M:
        device.launch(cross_entropy_rows(T, weighted, mean), blocks(M, ROWS), logits, labels, w, share, each, gradient, M, C,
                      smoothing, ignore)
    if reduction:
        device.launch(batch_loss(T, mean), 1, each, share, losses, M)
