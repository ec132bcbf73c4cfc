"""Kernels of pooling that lead back to the image: a gather at taps, and the two whose threads own cells of the image."""
from __future__ import annotations

from functools import cache

from ..cuda.division import divided
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, int32, kernel, uint32
from ..cuda.vectors import moved
from .cuda_windows import THREADS, WINDOWS, cell, element


@device
def covering(place, k, s, r_s, d, places):
    """(last window, how many, the last one first) that can reach a place, counted from the padding's edge, along one axis.

    A window o reaches from s·o to s·o + d·(k − 1), but of that only every d-th place: whoever goes through them asks.
    """
    last, before = int32(min(divided(place, r_s), places - 1)), int32(place - d * (k - 1))
    return last, int32(last + 1 - (divided(before - 1, r_s) + 1 if before > 0 else 0))


@cache
def each_window(visit: DeviceFunction) -> DeviceFunction:
    """A function that calls visit(operands, oy, ox, tap, total) for each window (oy, ox) that this cell is a tap of, the last one first."""
    @device
    def walk(operands, iy, ix, OH, OW, kh, kw, sy, sx, dy, dx, top, left, r_sy, r_sx, r_dy, r_dx, total):
        last_y, count_y = covering(int32(iy + top), kh, sy, r_sy, dy, OH)
        last_x, count_x = covering(int32(ix + left), kw, sx, r_sx, dx, OW)
        for a in range(count_y):
            oy = int32(last_y - a)
            down = int32(iy + top - sy * oy)
            ky = int32(divided(down, r_dy))
            if ky * dy == down:
                for b in range(count_x):
                    ox = int32(last_x - b)
                    right = int32(ix + left - sx * ox)
                    kx = int32(divided(right, r_dx))
                    if kx * dx == right:
                        visit(operands, oy, ox, int32(ky * kw + kx), total)
    return walk


@cache
def gathered(T: Scalar, I: Scalar, width: int) -> CudaKernel:
    """y = x at the tap of each window; 0 where there is none."""
    put, bring_taps = moved(width)[1], moved(width)[0]

    @kernel(f"x: {T}*, where: {I}*, y: {T}*, {WINDOWS}", threads=THREADS)
    def gathered(x, where, y, size, first, groups, r_groups, columns, r_columns, rows, r_rows, H, W, OH, OW, C, kh, kw, sy, sx, dy, dx, top,
                 left, r_sy, r_sx, r_dy, r_dx, r_kw):
        i = cuda.grid(1)
        if i < size:
            held, taps = cuda.local.array(width, T), cuda.local.array(width, I)
            n, oy, ox, group = cell(i, first, groups, r_groups, columns, r_columns, rows, r_rows)
            at = element(n, oy, ox, OH, OW, C, group, width)
            bring_taps(where, at, taps, 0)
            for j in range(width):
                tap = int32(taps[j])
                ky = int32(divided(tap, r_kw))
                iy, ix = int32(sy * oy + dy * ky - top), int32(sx * ox + dx * (tap - ky * kw) - left)
                held[j] = T(0)
                if tap < kh * kw and uint32(iy) < uint32(H) and uint32(ix) < uint32(W):
                    held[j] = x[element(n, iy, ix, H, W, C, group, width) + j]
            put(y, at, held, 0)
    return gathered


@cache
def scattered(T: Scalar, I: Scalar, width: int) -> CudaKernel:
    """x = Σ g over the windows whose tap is this cell."""
    (bring, put), bring_taps = moved(width), moved(width)[0]

    @device
    def visit(operands, oy, ox, tap, total):
        g, where, n, OH, OW, C, group = operands
        held, taps = cuda.local.array(width, T), cuda.local.array(width, I)
        at = element(n, oy, ox, OH, OW, C, group, width)
        bring_taps(where, at, taps, 0)
        bring(g, at, held, 0)
        for j in range(width):
            if taps[j] == tap:
                total[j] += held[j]
    walk = each_window(visit)

    @kernel(f"g: {T}*, where: {I}*, x: {T}*, {WINDOWS}", threads=THREADS)
    def scattered(g, where, x, size, first, groups, r_groups, columns, r_columns, rows, r_rows, H, W, OH, OW, C, kh, kw, sy, sx, dy, dx,
                  top, left, r_sy, r_sx, r_dy, r_dx, r_kw):
        i = cuda.grid(1)
        if i < size:
            total = cuda.local.array(width, T)
            n, iy, ix, group = cell(i, first, groups, r_groups, columns, r_columns, rows, r_rows)
            for j in range(width):
                total[j] = T(0)
            walk((g, where, n, OH, OW, C, group), iy, ix, OH, OW, kh, kw, sy, sx, dy, dx, top, left, r_sy, r_sx, r_dy, r_dx, total)
            put(x, element(n, iy, ix, H, W, C, group, width), total, 0)
    return scattered


@cache
def spread_sums(T: Scalar, width: int) -> CudaKernel:
    """x = Σ weights · (g · scale) over the windows that cover this cell, tap by tap."""
    bring, put = moved(width)

    @device
    def visit(operands, oy, ox, tap, total):
        g, weights, scale, n, OH, OW, C, group = operands
        held = cuda.local.array(width, T)
        bring(g, element(n, oy, ox, OH, OW, C, group, width), held, 0)
        weight, share = weights[tap], scale[int32(oy * OW + ox)]
        for j in range(width):
            total[j] += weight * (held[j] * share)
    walk = each_window(visit)

    @kernel(f"g: {T}*, weights: {T}*, scale: {T}*, x: {T}*, {WINDOWS}", threads=THREADS)
    def spread_sums(g, weights, scale, x, size, first, groups, r_groups, columns, r_columns, rows, r_rows, H, W, OH, OW, C, kh, kw, sy, sx,
                    dy, dx, top, left, r_sy, r_sx, r_dy, r_dx, r_kw):
        i = cuda.grid(1)
        if i < size:
            total = cuda.local.array(width, T)
            n, iy, ix, group = cell(i, first, groups, r_groups, columns, r_columns, rows, r_rows)
            for j in range(width):
                total[j] = T(0)
            walk((g, weights, scale, n, OH, OW, C, group), iy, ix, OH, OW, kh, kw, sy, sx, dy, dx, top, left, r_sy, r_sx, r_dy, r_dx, total)
            put(x, element(n, iy, ix, H, W, C, group, width), total, 0)
    return spread_sums
