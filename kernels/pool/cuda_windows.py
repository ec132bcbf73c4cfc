"""Kernels of pooling whose threads own windows: maxima with their taps, and weighted sums; and where a thread's cell is."""
from __future__ import annotations

import math
from functools import cache

from ..cuda.division import divided
from ..cuda.language import CudaKernel, Scalar, cuda, device, int32, int64, kernel, uint32
from ..cuda.vectors import moved

THREADS, LOWEST = 256, -math.inf
# What every kernel here and in cuda_images.py takes after its arrays: the threads of this launch and its first image; groups of channels,
# columns and rows of the result, each with its reciprocal; the geometry; and the reciprocals of what is divided by in it.
# Places in an image are int32, which takes half the registers of int64; a place outside that wraps around is outside still.
WINDOWS = ", ".join(f"{name}: {'int64' if name.startswith('r_') else 'int32'}" for name in (
    "size", "first", "groups", "r_groups", "columns", "r_columns", "rows", "r_rows", "H", "W", "OH", "OW", "C", "kh", "kw", "sy", "sx",
    "dy", "dx", "top", "left", "r_sy", "r_sx", "r_dy", "r_dx", "r_kw"))


@device
def cell(i, first, groups, r_groups, columns, r_columns, rows, r_rows):
    """(image, row, column, group of channels) of thread i of a launch."""
    line = int32(divided(i, r_groups))
    across = int32(divided(line, r_columns))
    n = int32(divided(across, r_rows))
    return int32(first + n), int32(across - n * rows), int32(line - across * columns), int32(i - line * groups)


@device
def element(n, y, x, H, W, C, group, width):
    """Where the channels of a group are, of cell (y, x) of image n: images are counted in 64 bits, what is in one in 32."""
    return (int64(n) * int32(H * W) + int32(y * W + x)) * C + int32(group * width)


@cache
def maxima(T: Scalar, I: Scalar, width: int) -> CudaKernel:
    """y and where: the first maximum of each window and its tap; the first NaN, if there is one."""
    (bring, put), put_taps = moved(width), moved(width)[1]

    @kernel(f"x: {T}*, y: {T}*, where: {I}*, {WINDOWS}", threads=THREADS)
    def maxima(x, y, where, size, first, groups, r_groups, columns, r_columns, rows, r_rows, H, W, OH, OW, C, kh, kw, sy, sx, dy, dx, top,
               left, r_sy, r_sx, r_dy, r_dx, r_kw):
        i = cuda.grid(1)
        if i < size:
            best, held, taps = cuda.local.array(width, T), cuda.local.array(width, T), cuda.local.array(width, int32)
            n, oy, ox, group = cell(i, first, groups, r_groups, columns, r_columns, rows, r_rows)
            none = int32(kh * kw)
            for j in range(width):
                best[j], taps[j] = T(LOWEST), none
            for ky in range(kh):
                iy = int32(sy * oy + dy * ky - top)
                if uint32(iy) < uint32(H):                                 # 0 ≤ iy < H
                    for kx in range(kw):
                        ix = int32(sx * ox + dx * kx - left)
                        if uint32(ix) < uint32(W):
                            bring(x, element(n, iy, ix, H, W, C, group, width), held, 0)
                            for j in range(width):
                                if taps[j] == none or (best[j] == best[j] and not held[j] <= best[j]):
                                    best[j], taps[j] = held[j], int32(ky * kw + kx)
            at = element(n, oy, ox, OH, OW, C, group, width)
            put(y, at, best, 0)
            put_taps(where, at, taps, 0)
    return maxima


@cache
def sums(T: Scalar, width: int) -> CudaKernel:
    """y = scale · Σ weights · x over each window's cells inside the image, tap by tap."""
    bring, put = moved(width)

    @kernel(f"x: {T}*, weights: {T}*, scale: {T}*, y: {T}*, {WINDOWS}", threads=THREADS)
    def sums(x, weights, scale, y, size, first, groups, r_groups, columns, r_columns, rows, r_rows, H, W, OH, OW, C, kh, kw, sy, sx, dy,
             dx, top, left, r_sy, r_sx, r_dy, r_dx, r_kw):
        i = cuda.grid(1)
        if i < size:
            total, held = cuda.local.array(width, T), cuda.local.array(width, T)
            n, oy, ox, group = cell(i, first, groups, r_groups, columns, r_columns, rows, r_rows)
            for j in range(width):
                total[j] = T(0)
            for ky in range(kh):
                iy = int32(sy * oy + dy * ky - top)
                if uint32(iy) < uint32(H):                                 # 0 ≤ iy < H
                    for kx in range(kw):
                        ix = int32(sx * ox + dx * kx - left)
                        if uint32(ix) < uint32(W):
                            bring(x, element(n, iy, ix, H, W, C, group, width), held, 0)
                            weight = weights[int32(ky * kw + kx)]
                            for j in range(width):
                                total[j] += weight * held[j]
            share = scale[int32(oy * OW + ox)]
            for j in range(width):
                total[j] *= share
            put(y, element(n, oy, ox, OH, OW, C, group, width), total, 0)
    return sums
