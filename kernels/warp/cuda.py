"""Images sampled along other axes on a GPU: a thread for each pixel of y, and its channels one after the other; random maps, one each.

Neighbouring threads have neighbouring pixels of a row, so what they write is one piece of memory, and what they read lies along a line
through x, of which neighbours share most. The border of `fill` around an image, which the CPU lays out, is here a question to each pixel.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

from ..cuda.angles import sine_and_cosine
from ..cuda.host import blocks
from ..cuda.language import CudaKernel, Scalar, cuda, device, float32, float64, int32, int64, kernel, scalar_of, uint8
from ..cuda.walk import quotient

THREADS = 256
SMALL = 2.0 ** -23


@device
def held(place, low, high):
    """A place within its bounds; NaN becomes the lower one."""
    place = place if place > low else low
    return place if place < high else high


@device
def bound(boxes, at, size):
    """A bound of a box, in the bordered image."""
    return float32(min(max(boxes[at] + float64(1), float64(0)), float64(size + 1)))


@device
def pixel(x, image, row, column, H, W, C, c, fill):
    """One value of the image with a border of `fill` around it."""
    if 1 <= row <= H and 1 <= column <= W:
        return float32(x[image + ((row - 1) * W + column - 1) * C + c])
    return fill


@cache
def warp_pixels(T: Scalar, U: Scalar) -> CudaKernel:
    """y[n, i, j]; blockIdx.x counts the blocks of 256 pixels through all images, `tiles` in each."""
    rounded = U is uint8

    @kernel(f"x: {T}*, maps: float64*, boxes: float64*, mean: float32*, deviation: float32*, y: {U}*, tiles: int64, H: int64, W: int64, "
            f"C: int64, h: int64, w: int64, fill: float32, boxed: int32, normal: int32", threads=THREADS)
    def warp_pixels(x, maps, boxes, mean, deviation, y, tiles, H, W, C, h, w, fill, boxed, normal):
        n = quotient(cuda.blockIdx.x, tiles)
        at = (cuda.blockIdx.x - n * tiles) * THREADS + cuda.threadIdx.x
        if at < h * w:
            i = quotient(at, w)
            j, m = float32(at - i * w), 6 * n
            top, left, bottom, right = float32(0), float32(0), float32(H + 1), float32(W + 1)
            if boxed:
                top, left = bound(boxes, 4 * n, H), bound(boxes, 4 * n + 1, W)
                bottom, right = bound(boxes, 4 * n + 2, H), bound(boxes, 4 * n + 3, W)
            row = float32(maps[m] * float64(i) + (maps[m + 2] + float64(1))) + float32(maps[m + 1]) * j
            column = float32(maps[m + 3] * float64(i) + (maps[m + 5] + float64(1))) + float32(maps[m + 4]) * j
            row, column = held(row, top, bottom), held(column, left, right)
            r, s = min(int64(row), H), min(int64(column), W)
            down, across, image = row - float32(r), column - float32(s), n * H * W * C
            for c in range(C):
                a, b = pixel(x, image, r, s, H, W, C, c, fill), pixel(x, image, r, s + 1, H, W, C, c, fill)
                upper = a + (b - a) * across
                a, b = pixel(x, image, r + 1, s, H, W, C, c, fill), pixel(x, image, r + 1, s + 1, H, W, C, c, fill)
                found = upper + ((a + (b - a) * across) - upper) * down
                if rounded:
                    y[(n * h * w + at) * C + c] = uint8(int32(held(found, float32(0), float32(255)) + float32(0.5)))
                else:
                    y[(n * h * w + at) * C + c] = (found - mean[c]) / deviation[c] if normal else found
    return warp_pixels


@device
def even(bits, at):
    """A random word as a multiple of 2⁻²³ in [−1, 1)."""
    return float64(bits[at] >> 8) * SMALL - float64(1)


@cache
def distortion_maps() -> CudaKernel:
    """maps[n], by thread n."""
    @kernel("bits: uint32*, maps: float64*, N: int64, row: float64, column: float64, rotation: float64, scale: float64, shear: float64, "
            "shift: float64", threads=THREADS)
    def distortion_maps(bits, maps, N, row, column, rotation, scale, shear, shift):
        n = cuda.grid(1)
        if n < N:
            angle, slant = rotation * even(bits, n), shear * even(bits, 3 * N + n)
            down, across = math.exp(scale * even(bits, N + n)), math.exp(scale * even(bits, 2 * N + n))
            (sine, cosine), m = sine_and_cosine(angle), 6 * n
            a, b = cosine * down, (cosine * slant + sine) * across
            c, d = -sine * down, (cosine - sine * slant) * across
            maps[m], maps[m + 1], maps[m + 2] = a, b, shift * even(bits, 4 * N + n) - (a * row + b * column) + row
            maps[m + 3], maps[m + 4], maps[m + 5] = c, d, shift * even(bits, 5 * N + n) - (c * row + d * column) + column
    return distortion_maps


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(distortion_maps, ()), *((warp_pixels, (T, U)) for T in (uint8, float32) for U in (uint8, float32))]


def warp(device: Any, x: Any, maps: Any, boxes: Any, mean: Any, deviation: Any, y: Any, fill: float) -> None:
    """reference.warp. A thread for each pixel of y."""
    (N, H, W, C), (h, w) = x.shape, y.shape[1:3]
    if y.size:
        tiles = blocks(h * w, THREADS)
        device.launch(warp_pixels(scalar_of(x.dtype), scalar_of(y.dtype)), N * tiles, x, maps, boxes, mean, deviation, y, tiles, H, W, C,
                      h, w, fill, boxes is not None, mean is not None)


def distortions(device: Any, bits: Any, maps: Any, H: int, W: int, rotation: float, scale: float, shear: float, shift: float) -> None:
    """reference.distortions. A thread for each image."""
    N = maps.shape[0]
    if N:
        device.launch(distortion_maps(), blocks(N, THREADS), bits, maps, N, (H - 1) / 2, (W - 1) / 2, rotation, scale, shear, shift)
