"""The sum over a window of many cells, of which there are few: a block for each window and slice of at most 32 channels.

Global average pooling is this. A thread for each sum would walk over the window alone, waiting for memory at every few cells; here the
cells are shared out among a block's lanes (kernels/cuda/columns.py), whose sums, in float64, are added up in a tree. Memory moves 4 bytes
for each float32 of the image.
"""
from __future__ import annotations

from functools import cache

from ..cuda.columns import THREADS, column_totals, place
from ..cuda.division import divided
from ..cuda.language import CudaKernel, Scalar, cuda, float64, int32, kernel, uint32
from ..cuda.vectors import moved
from ..cuda.walk import quotient

PLACES = ", ".join(f"{name}: int64" for name in (
    "across", "H", "W", "OH", "OW", "C", "kh", "kw", "sy", "sx", "dy", "dx", "top", "left", "r_kw"))


@cache
def long_sums(T: Scalar, width: int) -> CudaKernel:
    """y = scale · Σ weights · x over each window's cells inside the image. Blocks: (slices, windows of all images)."""
    bring, over_lanes = moved(width)[0], column_totals(width)

    @kernel(f"x: {T}*, weights: {T}*, scale: {T}*, y: {T}*, {PLACES}", threads=THREADS)
    def long_sums(x, weights, scale, y, across, H, W, OH, OW, C, kh, kw, sy, sx, dy, dx, top, left, r_kw):
        held, values = cuda.local.array(width, T), cuda.local.array(width, float64)
        lane, c = place(across, width)
        lanes, line = quotient(THREADS, across), quotient(cuda.blockIdx.y, OW)
        n, ox = quotient(line, OH), cuda.blockIdx.y - line * OW
        oy = line - n * OH
        for j in range(width):
            values[j] = float64(0)
        if lane < lanes and c < C:
            for tap in range(lane, kh * kw, lanes):
                ky = divided(tap, r_kw)
                iy, ix = int32(sy * oy + dy * ky - top), int32(sx * ox + dx * (tap - ky * kw) - left)
                if uint32(iy) < uint32(H) and uint32(ix) < uint32(W):      # 0 ≤ iy < H and 0 ≤ ix < W
                    bring(x, ((n * H + iy) * W + ix) * C + c, held, 0)
                    weight = float64(weights[tap])
                    for j in range(width):
                        values[j] += weight * float64(held[j])
        over_lanes(values, lane, lanes, across)
        if lane == 0 and c < C:
            share = float64(scale[oy * OW + ox])
            for j in range(width):
                y[cuda.blockIdx.y * C + c + j] = T(values[j] * share)
    return long_sums
