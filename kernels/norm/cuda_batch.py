"""Kernels of batch normalisation, forward: moments of the channels, then values; and values by factors that are given."""
from __future__ import annotations

import math
from functools import cache

from ..cuda.columns import SLICE, THREADS, chunk_totals, column_totals, place
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float64, kernel
from ..cuda.vectors import moved
from ..cuda.walk import quotient

FEW, MANY = 2, 4                           # rows that a thread has under way at once: of several arrays; of one
AT_ONCE = 2                                # blocks on a multiprocessor


@device
def centre(value):
    """What a channel's values are measured from: its first one, if that is a number."""
    nothing = value - value                                                # NaN, if the value is infinite
    return float64(value) if nothing == nothing else float64(0)


@cache
def moments(T: Scalar, width: int) -> CudaKernel:
    """sums[chunk, 0 and 1, c] = Σ d and Σ d² over the chunk's rows, d = x[m, c] − x[0, c]. Blocks: (slices, chunks). Reads 4 bytes."""
    bring, over_lanes, both, room = moved(width)[0], column_totals(2 * width), 2 * width, MANY * width

    @kernel(f"x: {T}*, sums: float64*, M: int64, C: int64, across: int64, rows: int64", threads=THREADS, min_blocks=AT_ONCE)
    def moments(x, sums, M, C, across, rows):
        held, origin, values = cuda.local.array(room, T), cuda.local.array(width, float64), cuda.local.array(both, float64)
        lane, c = place(across, width)
        lanes = quotient(THREADS, across)
        for j in range(both):
            values[j] = float64(0)
        if lane < lanes and c < C:
            bring(x, c, held, 0)
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
    """y, and mean and variance of what `moments` left. Blocks: (slices, any number). Moves 8 bytes, with a residual 12."""
    scaled, totals, three = scaled_rows(T, width), chunk_totals(2), 3 * SLICE

    @kernel(f"x: {T}*, scale: {T}*, shift: {T}*, residual: {T}*, y: {T}*, mean: {T}*, variance: {T}*, sums: float64*, M: int64, C: int64, "
            f"across: int64, chunks: int64, epsilon: float64, beside: int64, activation: int64", threads=THREADS, min_blocks=AT_ONCE)
    def normalise(x, scale, shift, residual, y, mean, variance, sums, M, C, across, chunks, epsilon, beside, activation):
        factors, values = cuda.shared.array(three, T), cuda.local.array(2, float64)
        lane, c = totals(sums, chunks, C, across * width, values)
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
