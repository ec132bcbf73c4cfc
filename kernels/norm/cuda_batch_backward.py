"""Kernels of batch normalisation, backward: two sums for each channel, then the gradient of every value."""
from __future__ import annotations

import math
from functools import cache

from ..cuda.columns import SLICE, THREADS, chunk_totals, column_totals, place
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float64, kernel
from ..cuda.vectors import moved
from ..cuda.walk import quotient
from .cuda_batch import AT_ONCE, FEW


@cache
def sloped(T: Scalar) -> DeviceFunction:
    """slopes[i] · act'(z), of after = act(z), which is read only where there is an activation."""
    @device
    def sloped(slopes, after, i, activation):
        if activation == 1 and not after[i] > T(0):
            return T(0)
        return slopes[i]
    return sloped


@cache
def products(T: Scalar, width: int) -> CudaKernel:
    """sums[chunk, 0 and 1, c] = Σ dz and Σ dz · (x − mean) over the chunk's rows, dz = g · act'(z), which is kept on request.

    Blocks: (slices, chunks). Moves 8 bytes, with an activation 12; 4 more where dz is kept.
    """
    (bring, put), slope_of, over_lanes, both, room = moved(width), sloped(T), column_totals(2 * width), 2 * width, FEW * width

    @kernel(f"g: {T}*, x: {T}*, y: {T}*, mean: {T}*, dz: {T}*, sums: float64*, M: int64, C: int64, across: int64, rows: int64, "
            f"kept: int64, activation: int64", threads=THREADS)
    def products(g, x, y, mean, dz, sums, M, C, across, rows, kept, activation):
        slopes, held, after = cuda.local.array(room, T), cuda.local.array(room, T), cuda.local.array(room, T)
        middle, values = cuda.local.array(width, T), cuda.local.array(both, float64)
        lane, c = place(across, width)
        lanes = quotient(THREADS, across)
        for j in range(both):
            values[j] = float64(0)
        if lane < lanes and c < C:
            bring(mean, c, middle, 0)
            end = min(M, (cuda.blockIdx.y + 1) * rows)
            for row in range(cuda.blockIdx.y * rows + lane, end, lanes * FEW):
                for k in range(FEW):
                    at = (row + k * lanes) * C + c
                    if row + k * lanes < end:
                        bring(g, at, slopes, k * width)
                        bring(x, at, held, k * width)
                        if activation == 1:
                            bring(y, at, after, k * width)
                for k in range(FEW):
                    if row + k * lanes < end:
                        for j in range(width):
                            slope = slope_of(slopes, after, k * width + j, activation)
                            slopes[k * width + j] = slope
                            values[j] += float64(slope)
                            values[width + j] += float64(slope) * float64(held[k * width + j] - middle[j])
                        if kept:
                            put(dz, (row + k * lanes) * C + c, slopes, k * width)
        over_lanes(values, lane, lanes, across)
        if lane == 0 and c < C:
            for j in range(width):
                at = cuda.blockIdx.y * 2 * C + c + j
                sums[at], sums[at + C] = values[j], values[width + j]
    return products


@cache
def gradient(T: Scalar, width: int) -> CudaKernel:
    """dx, and dscale and dshift, of what `products` left. Blocks: (slices, any number). Moves 12 bytes, with an activation 16."""
    (bring, put), slope_of, totals = moved(width), sloped(T), chunk_totals(2)
    of_slice, of_thread = 4 * SLICE, 4 * width

    @kernel(f"g: {T}*, x: {T}*, y: {T}*, scale: {T}*, mean: {T}*, variance: {T}*, dx: {T}*, dscale: {T}*, dshift: {T}*, sums: float64*, "
            f"M: int64, C: int64, across: int64, chunks: int64, epsilon: float64, activation: int64", threads=THREADS, min_blocks=AT_ONCE)
    def gradient(g, x, y, scale, mean, variance, dx, dscale, dshift, sums, M, C, across, chunks, epsilon, activation):
        factors, values, own = cuda.shared.array(of_slice, T), cuda.local.array(2, float64), cuda.local.array(of_thread, T)
        slopes, held, after = cuda.local.array(width, T), cuda.local.array(width, T), cuda.local.array(width, T)
        lane, c = totals(sums, chunks, C, across * width, values)
        if lane == 0 and c < C:
            t, inverse = cuda.threadIdx.x, float64(1) / math.sqrt(float64(variance[c]) + epsilon)
            factors[t], factors[SLICE + t] = mean[c], T(float64(scale[c]) * inverse)
            factors[2 * SLICE + t] = T(values[0] / float64(M))
            factors[3 * SLICE + t] = T(inverse * inverse * values[1] / float64(M))
            if cuda.blockIdx.y == 0:
                dshift[c], dscale[c] = T(values[0]), T(inverse * values[1])
        cuda.syncthreads()
        lane, c = place(across, width)
        lanes = quotient(THREADS, across)
        if lane < lanes and c < C:
            for j in range(width):
                for k in range(4):
                    own[k * width + j] = factors[k * SLICE + c - cuda.blockIdx.x * across * width + j]
            for row in range(cuda.blockIdx.y * lanes + lane, M, cuda.gridDim.y * lanes):
                at = row * C + c
                bring(g, at, slopes, 0)
                bring(x, at, held, 0)
                if activation == 1:
                    bring(y, at, after, 0)
                for j in range(width):
                    slope, away = slope_of(slopes, after, j, activation), held[j] - own[j]
                    held[j] = own[width + j] * (slope - own[2 * width + j] - away * own[3 * width + j])
                put(dx, at, held, 0)
    return gradient
