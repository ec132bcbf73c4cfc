"""Kernels of batch normalisation, forward: moments of the channels, then values; and values by factors that are given."""
from __future__ import annotations

import math
from functools import cache

from ..cuda.columns import SLICE, THREADS, column_totals, place
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float64, kernel
from ..cuda.moments import centre, seen_from
from ..cuda.vectors import moved
from ..cuda.walk import quotient

FEW, MANY = 2, 4                           # rows that a thread has under way at once: of several arrays; of one
AT_ONCE = 2                                # blocks on a multiprocessor


@cache
def moments(T: Scalar, width: int) -> CudaKernel:
    """sums[part, 0 and 1, c] = Σ d and Σ d² over the part's rows, d = x[m, c] − x[its first row, c]. Reads 4 bytes.

    Blocks: (slices, parts).
    """
    bring, over_lanes, both, room = moved(width)[0], column_totals(2 * width), 2 * width, MANY * width

    @kernel(f"x: {T}*, sums: float64*, M: int64, C: int64, across: int64, rows: int64", threads=THREADS, min_blocks=AT_ONCE)
    def moments(x, sums, M, C, across, rows):
        held, origin, values = cuda.local.array(room, T), cuda.local.array(width, float64), cuda.local.array(both, float64)
        lane, c = place(across, width)
        lanes = quotient(THREADS, across)
        for j in range(both):
            values[j] = float64(0)
        if lane < lanes and c < C:
            bring(x, cuda.blockIdx.y * rows * C + c, held, 0)
            for j in range(width):
                origin[j] = centre(held[j])
            end = min(M, (cuda.blockIdx.y + 1) * rows)
            for row in range(cuda.blockIdx.y * rows + lane, end, lanes * MANY):
                for k in range(MANY):
                    if row + k * lanes < end:
                        bring(x, (row + k * lanes) * C + c, held, k * width)
                for k in range(MANY):
                    if row + k * lanes < end:
                        for j in range(width):
                            d = float64(held[k * width + j]) - origin[j]
                            values[j] += d
                            values[width + j] += d * d
        over_lanes(values, lane, lanes, across)
        if lane == 0 and c < C:
            for j in range(width):
                at = cuda.blockIdx.y * 2 * C + c + j
                sums[at], sums[at + C] = values[j], values[width + j]
    return moments


@cache
def moment_totals(T: Scalar) -> DeviceFunction:
    """A function of (x, sums, M, C, rows, first, end, span, values): a block adds up the parts from `first` on, before `end`, of its slice.

    The slice is `span` channels wide. It returns (lane, channel): in `values`, a local array, of every lane are then Σ d and Σ d² of the
    channel, d measured from x in the first row of the first part. All parts but the last are of `rows` rows.
    """
    over_lanes = column_totals(2)

    @device
    def moment_totals(x, sums, M, C, rows, first, end, span, values):
        lane, c = place(span, 1)
        lanes = quotient(THREADS, span)
        values[0], values[1] = float64(0), float64(0)
        if lane < lanes and c < C:
            origin = centre(x[first * rows * C + c])
            for part in range(first + lane, end, lanes):
                at, row = 2 * part * C + c, part * rows
                total, squares = seen_from(sums[at], sums[at + C], float64(min(rows, M - row)), centre(x[row * C + c]) - origin)
                values[0] += total
                values[1] += squares
        over_lanes(values, lane, lanes, span)
        return lane, c
    return moment_totals


@cache
def gathered(T: Scalar) -> CudaKernel:
    """sums of fewer parts, each of `times` of the `count` parts that there are. Blocks: (slices, parts of the fewer)."""
    totals = moment_totals(T)

    @kernel(f"x: {T}*, parts: float64*, sums: float64*, M: int64, C: int64, rows: int64, count: int64, times: int64, span: int64",
            threads=THREADS, min_blocks=AT_ONCE)
    def gathered(x, parts, sums, M, C, rows, count, times, span):
        values, first = cuda.local.array(2, float64), cuda.blockIdx.y * times
        lane, c = totals(x, parts, M, C, rows, first, min(count, first + times), span, values)
        if lane == 0 and c < C:
            at = 2 * cuda.blockIdx.y * C + c
            sums[at], sums[at + C] = values[0], values[1]
    return gathered


@cache
def scaled_rows(T: Scalar, width: int) -> DeviceFunction:
    """y = act((x − factors[0]) · factors[1] + factors[2] + residual) for this block's rows; each factor is SLICE numbers, one a channel."""
    (bring, put), room, three = moved(width), FEW * width, 3 * width

    @device
    def scaled_rows(x, residual, y, factors, M, C, across, beside, activation):
        held, near, own = cuda.local.array(room, T), cuda.local.array(room, T), cuda.local.array(three, T)
        lane, c = place(across, width)
        lanes = quotient(THREADS, across)
        if lane < lanes and c < C:
            for j in range(width):
                for k in range(3):
                    own[k * width + j] = factors[k * SLICE + c - cuda.blockIdx.x * across * width + j]
            for row in range(cuda.blockIdx.y * lanes * FEW + lane, M, cuda.gridDim.y * lanes * FEW):
                for k in range(FEW):
                    if row + k * lanes < M:
                        bring(x, (row + k * lanes) * C + c, held, k * width)
                        if beside:
                            bring(residual, (row + k * lanes) * C + c, near, k * width)
                for k in range(FEW):
                    if row + k * lanes < M:
                        for j in range(width):
                            value = (held[k * width + j] - own[j]) * own[width + j] + own[2 * width + j]
                            if beside:
                                value += near[k * width + j]
                            if activation == 1 and value < T(0):           # so written, NaN stays
                                value = T(0)
                            held[k * width + j] = value
                        put(y, (row + k * lanes) * C + c, held, k * width)
    return scaled_rows


@cache
def normalise(T: Scalar, width: int) -> CudaKernel:
    """y, and mean and variance of sums as `moments` leaves them. Blocks: (slices, any number). Moves 8 bytes, with a residual 12."""
    scaled, totals, three = scaled_rows(T, width), moment_totals(T), 3 * SLICE

    @kernel(f"x: {T}*, scale: {T}*, shift: {T}*, residual: {T}*, y: {T}*, mean: {T}*, variance: {T}*, sums: float64*, M: int64, C: int64, "
            f"across: int64, rows: int64, parts: int64, epsilon: float64, beside: int64, activation: int64", threads=THREADS,
            min_blocks=AT_ONCE)
    def normalise(x, scale, shift, residual, y, mean, variance, sums, M, C, across, rows, parts, epsilon, beside, activation):
        factors, values = cuda.shared.array(three, T), cuda.local.array(2, float64)
        lane, c = totals(x, sums, M, C, rows, 0, parts, across * width, values)
        if lane == 0 and c < C:
            t, away = cuda.threadIdx.x, values[0] / float64(M)
            mu, spread = centre(x[c]) + away, values[1] / float64(M) - away * away
            if spread < float64(0):
                spread = float64(0)
            near, wide = T(mu), T(spread)
            slope = float64(scale[c]) / math.sqrt(float64(wide) + epsilon)
            factors[t], factors[SLICE + t] = near, T(slope)
            factors[2 * SLICE + t] = T(float64(shift[c]) - (mu - float64(near)) * slope)       # with what rounding the mean took away
            if cuda.blockIdx.y == 0:
                mean[c], variance[c] = near, wide
        cuda.syncthreads()
        scaled(x, residual, y, factors, M, C, across, beside, activation)
    return normalise


@cache
def affine_rows(T: Scalar, width: int) -> CudaKernel:
    """y = act(x · scale + shift + residual). Blocks: (slices, any number). Moves 8 bytes, with a residual 12."""
    scaled, three = scaled_rows(T, width), 3 * SLICE

    @kernel(f"x: {T}*, scale: {T}*, shift: {T}*, residual: {T}*, y: {T}*, M: int64, C: int64, across: int64, beside: int64, "
            f"activation: int64", threads=THREADS, min_blocks=AT_ONCE)
    def affine_rows(x, scale, shift, residual, y, M, C, across, beside, activation):
        factors, t = cuda.shared.array(three, T), cuda.threadIdx.x
        c = cuda.blockIdx.x * across * width + t
        if t < across * width and c < C:
            factors[t], factors[SLICE + t], factors[2 * SLICE + t] = T(0), scale[c], shift[c]
        cuda.syncthreads()
        scaled(x, residual, y, factors, M, C, across, beside, activation)
    return affine_rows
