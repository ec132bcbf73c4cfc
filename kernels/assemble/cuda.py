"""Batches on a GPU, of a data set that lies there: crop, flip, cutout, conversion and normalisation in one pass over the batch.

A block has 1024 values of one image of the batch. Its first threads draw the image's numbers, one thread for each change, and leave them in
shared memory. Then each thread goes backwards, from a pixel of x through the changes to the pixel of the data set that it is, or to
a fill; neighbouring threads write neighbouring values of x, and read neighbours, rising or falling. The place in the epoch is read from
memory, so that a captured step goes on from batch to batch.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, Scalar, cuda, device, float32, int32, kernel, scalar_of, uint8, uint32, uint64
from ..cuda.walk import quotient
from ..random.philox import below, whole
from .reference import CROP, FLIP

THREADS, EACH = 256, 4
BLOCK = THREADS * EACH
MOST = 32                                  # changes, one thread of a warp for each
COLUMNS = 7                                # of a change: kind, key, amount, H, W, h, w


@device
def divided(a, b):
    """a // b of int32 that are not negative, in 32 bits."""
    return int32(uint32(a) // uint32(b))


@cache
def assemble_values(T: Scalar) -> CudaKernel:
    """x and y; blockIdx.x counts the blocks of 1024 values through all images, `tiles` in each."""
    @kernel(f"images: {T}*, labels: int64*, order: int64*, place: int64*, changes: int64*, fills: float32*, mean: float32*, "
            f"deviation: float32*, x: float32*, y: int64*, tiles: int64, H: int32, W: int32, C: int32, h: int32, w: int32, steps: int32, "
            f"first: int64, total: int64", threads=THREADS)
    def assemble_values(images, labels, order, place, changes, fills, mean, deviation, x, y, tiles, H, W, C, h, w, steps, first, total):
        rows, columns = cuda.shared.array(MOST, int32), cuda.shared.array(MOST, int32)
        t, n = cuda.threadIdx.x, quotient(cuda.blockIdx.x, tiles)
        tile = cuda.blockIdx.x - n * tiles
        chosen = order[place[0] + n]
        if t < steps:
            at, key, amount = COLUMNS * t, uint64(changes[COLUMNS * t + 1]), changes[COLUMNS * t + 2]
            a = whole(first + n, key, place[1])
            if changes[at] == FLIP:
                rows[t], columns[t] = int32(a < uint64(amount)), int32(0)
            else:
                b, down, right = whole(total + first + n, key, place[1]), changes[at + 3], changes[at + 4]
                if changes[at] == CROP:
                    down, right = down + 2 * amount - changes[at + 5] + 1, right + 2 * amount - changes[at + 6] + 1
                    rows[t], columns[t] = int32(below(a, down) - amount), int32(below(b, right) - amount)
                else:
                    rows[t], columns[t] = int32(below(a, down) - (amount >> 1)), int32(below(b, right) - (amount >> 1))
        cuda.syncthreads()
        if t == 0 and tile == 0:
            y[n] = labels[chosen]
        for k in range(EACH):
            e = int32(tile * BLOCK + t + k * THREADS)
            if e < h * w * C:
                pixel = divided(e, C)
                c, i = int32(e - pixel * C), divided(pixel, w)
                j = int32(pixel - i * w)
                s = int32(steps - 1)
                filled = int32(-1)                                         # the change that fills the pixel
                while s >= 0:
                    at = COLUMNS * s
                    if changes[at] == FLIP:
                        j = int32(changes[at + 4] - 1 - j) if rows[s] else j
                    elif changes[at] == CROP:
                        i, j = int32(i + rows[s]), int32(j + columns[s])
                        if i < 0 or j < 0 or i >= changes[at + 3] or j >= changes[at + 4]:
                            filled, s = s, int32(0)
                    else:
                        amount = changes[at + 2]
                        if rows[s] <= i < rows[s] + amount and columns[s] <= j < columns[s] + amount:
                            filled, s = s, int32(0)
                    s = int32(s - 1)
                value = fills[filled * C + c] if filled >= 0 else float32(images[chosen * H * W * C + (i * W + j) * C + c])
                x[n * h * w * C + e] = (value - mean[c]) / deviation[c]
    return assemble_values


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(assemble_values, (T,)) for T in (uint8, float32)]


def assemble(device: Any, images: Any, labels: Any, order: Any, place: Any, changes: Any, fills: Any, mean: Any, deviation: Any, x: Any,
             y: Any, first: int, total: int) -> None:
    """reference.assemble. A thread for each four values of x. ValueError: more than 32 changes."""
    (_, H, W, C), (N, h, w, _), steps = images.shape, x.shape, changes.shape[0]
    if steps > MOST:
        raise ValueError(f"assemble: on a GPU there may be at most {MOST} changes of an image, got {steps}")
    if x.size:
        tiles = blocks(h * w * C, BLOCK)
        device.launch(assemble_values(scalar_of(images.dtype)), N * tiles, images, labels, order, place, changes, fills, mean, deviation,
                      x, y, tiles, H, W, C, h, w, steps, first, total)
