"""The gradient of what is added to every row, on a GPU: column sums, of the cotangent before the activation, which is written on the way.

Bytes moved for each float32 of the matrix: 4 (read g); with an activation 8 (and y), and 4 more where dz is written. Sums are float64, one
for each channel and chunk of rows (kernels/cuda/columns.py), and a second, small launch adds up the chunks; there is none where the matrix
is so small that it is one chunk.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.columns import THREADS, chunk_totals, column_totals, columns, place
from ..cuda.language import CudaKernel, Scalar, cuda, float32, float64, kernel, scalar_of
from ..cuda.vectors import fours, moved
from ..cuda.walk import quotient

EACH, AT_ONCE = 2, 2                       # rows that a thread has under way at once; blocks on a multiprocessor


@cache
def sloped_sums(T: Scalar, width: int) -> CudaKernel:
    """dz = g · act'(z), if kept; sums[chunk, c] = Σ dz over the chunk's rows; dbias[c], if there is one chunk. Blocks: (slices, chunks)."""
    (bring, put), over_lanes, room = moved(width), column_totals(width), EACH * width

    @kernel(f"g: {T}*, y: {T}*, dz: {T}*, dbias: {T}*, sums: float64*, M: int64, C: int64, across: int64, rows: int64, kept: int64, "
            f"summed: int64, activation: int64", threads=THREADS, min_blocks=AT_ONCE)
    def sloped_sums(g, y, dz, dbias, sums, M, C, across, rows, kept, summed, activation):
        slopes, after, values = cuda.local.array(room, T), cuda.local.array(room, T), cuda.local.array(width, float64)
        lane, c = place(across, width)
        lanes = quotient(THREADS, across)
        for j in range(width):
            values[j] = float64(0)
        if lane < lanes and c < C:
            end = min(M, (cuda.blockIdx.y + 1) * rows)
            for row in range(cuda.blockIdx.y * rows + lane, end, lanes * EACH):
                for k in range(EACH):
                    at = (row + k * lanes) * C + c
                    if row + k * lanes < end:
                        bring(g, at, slopes, k * width)
                        if activation != 0:
                            bring(y, at, after, k * width)
                for k in range(EACH):
                    if row + k * lanes < end:
                        for j in range(width):
                            slope = slopes[k * width + j]
                            if activation == 1 and not after[k * width + j] > T(0):
                                slope = T(0)
                            elif activation == 2:
                                slope *= T(1) - after[k * width + j] * after[k * width + j]
                            slopes[k * width + j] = slope
                            values[j] += float64(slope)
                        if kept:
                            put(dz, (row + k * lanes) * C + c, slopes, k * width)
        if summed:                                                         # of all threads, or of none
            over_lanes(values, lane, lanes, across)
            if lane == 0 and c < C:
                for j in range(width):
                    if cuda.gridDim.y == 1:
                        dbias[c + j] = T(values[j])
                    else:
                        sums[cuda.blockIdx.y * C + c + j] = values[j]
    return sloped_sums


@cache
def add_chunks(T: Scalar) -> CudaKernel:
    """dbias[c] = Σ sums[chunk, c]. A block for each slice of `span` channels."""
    totals = chunk_totals(1)

    @kernel(f"sums: float64*, dbias: {T}*, C: int64, span: int64, chunks: int64", threads=THREADS)
    def add_chunks(sums, dbias, C, span, chunks):
        values = cuda.local.array(1, float64)
        lane, c = totals(sums, chunks, C, span, values)
        if lane == 0 and c < C:
            dbias[c] = T(values[0])
    return add_chunks


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(sloped_sums, (float32, 4)), (sloped_sums, (float32, 1)), (sloped_sums, (float64, 1)), (add_chunks, (float32,)),
            (add_chunks, (float64,))]


def bias_backward(device: Any, g: Any, y: Any, dz: Any, dbias: Any, activation: int) -> None:
    """reference.bias_backward. A thread for four channels of a few rows, then lanes of a block for each channel's chunks."""
    (M, C), kept, summed = g.shape, dz is not None, dbias is not None
    if not C:
        return
    after = y if activation else g
    T, width = scalar_of(g.dtype), fours(C, g, after, dz)
    cut = columns(M, C, width, EACH)
    sums = device.empty((cut.chunks, C), "float64")
    device.launch(sloped_sums(T, width), (cut.slices, cut.chunks), g, after, dz if kept else g, dbias if summed else g, sums, M, C,
                  cut.across, cut.rows, kept, summed, activation)
    if summed and cut.chunks > 1:
        device.launch(add_chunks(T), cut.slices, sums, dbias, C, cut.across * width, cut.chunks)
