"""Matrix products in exact float32 and float64 on CUDA cores: a tile of y for each block, a square of it for each thread.

Where the device's precision is "tf32" or "bf16", float32 goes to the tensor cores instead: tensor_cores.py, packed.py, warpgroups.py.

y[n] = A[n] · B[n]. A block owns a tile × tile square of y and walks along k, `depth` at a time. Its threads bring the next strips of A and
B from global memory into registers while they multiply the current ones, which lie in shared memory as As[k][i] and Bs[k][j]; then the
registers go to the other half of shared memory, and one barrier a step suffices. Each thread owns each × each sums, in groups of four rows
and four columns, so that a warp reads shared memory in whole 128-bit words, and those of neighbours lie side by side.

A transposed operand is the same matrix with its steps exchanged. What differs is which axis is contiguous: consecutive threads always walk
along that one, so that global loads coalesce. Strips that come k first are turned over on the way into shared memory.

A product whose y has few tiles and whose k is long is cut along k: parts are summed afterwards, in their order, so that the same shapes
give the same bits everywhere.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

from ..cuda.core_tiles import four_from
from ..cuda.host import address, blocks, vector_width
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float32, float64, kernel, scalar_of
from ..cuda.vectors import fetch
from . import packed, tensor_cores, warpgroups
from .sums import TANH, add_parts, finish

DEPTH = 16                                 # of k, a step
PADDING = 4                                # columns more in a row of shared memory: strips that are turned over hit different banks
# What a block and a thread own, by type: (tile, each, blocks at once on a multiprocessor), from the largest on.
SHAPES = {float32: ((128, 8, 1), (64, 4, 2), (32, 4, 4)), float64: ((64, 4, 1), (32, 4, 4))}
ENOUGH = 128                               # tiles that keep a GPU busy
PART = 256                                 # of k, at least, where it is cut


@cache
def strip(T: Scalar, tile: int, threads: int, vector: int, k_first: bool) -> tuple[DeviceFunction, DeviceFunction]:
    """How one operand gets to shared memory: (bring, put), a strip of tile × DEPTH from global memory to registers, and on to s.

    k_first  whether k is the contiguous axis; else it is the other one, along i or j
    """
    load = fetch(T, vector)
    count = tile * DEPTH // (threads * vector)                             # vectors of each thread
    line = (DEPTH if k_first else tile) // vector                          # vectors in a contiguous row of the strip: a power of two
    shift, mask = line.bit_length() - 1, line - 1
    row = tile + PADDING

    @device
    def bring(p, start, outer, outers, outer_step, k, K, k_step, held):
        for n in range(count):
            slot = cuda.threadIdx.x + n * threads
            along, across = (slot & mask) * vector, slot >> shift
            i = outer + (across if k_first else along)
            kk = k + (along if k_first else across)
            values = load(p, start + i * outer_step + kk * k_step, i < outers and kk < K)
            for j in range(vector):
                held[n * vector + j] = values[j]

    @device
    def put(s, start, held):
        for n in range(count):
            slot = cuda.threadIdx.x + n * threads
            along, across = (slot & mask) * vector, slot >> shift
            for j in range(vector):
                if k_first:
                    s[start + (along + j) * row + across] = held[n * vector + j]
                else:
                    s[start + across * row + along + j] = held[n * vector + j]
    return bring, put


@cache
def product(T: Scalar, tile: int, each: int, at_once: int, k_first_a: bool, k_first_b: bool, vector: int, layer: bool) -> CudaKernel:
    """y[n] = A[n] · B[n]; of a layer, act(A[n] · B[n] + bias); or a part of the sum along k. Blocks: (batch · tiles of y, parts)."""
    side = tile // each                                                    # threads along either axis of a tile
    threads = side * side
    bring_a, put_a = strip(T, tile, threads, vector, k_first_a)
    bring_b, put_b = strip(T, tile, threads, vector, k_first_b)
    four, finished = four_from(T), finish(T, tanh=False)
    row, groups, square = tile + PADDING, each // 4, each * each
    half, whole, own, apart = DEPTH * row, 2 * DEPTH * row, tile * DEPTH // threads, tile * 4 // each
    shift, mask, wide = side.bit_length() - 1, side - 1, each.bit_length() - 1

    @kernel(f"a: {T}*, b: {T}*, bias: {T}*, y: {T}*, M: int64, N: int64, K: int64, a_batch: int64, a_row: int64, a_k: int64, "
            f"b_batch: int64, b_column: int64, b_k: int64, columns: int64, tiles: int64, part: int64, with_bias: int64, activation: int64",
            threads=threads, min_blocks=at_once)
    def product(a, b, bias, y, M, N, K, a_batch, a_row, a_k, b_batch, b_column, b_k, columns, tiles, part, with_bias, activation):
        left = cuda.shared.array(whole, T, alignment=16)
        right = cuda.shared.array(whole, T, alignment=16)
        held_a, held_b = cuda.local.array(own, T), cuda.local.array(own, T)
        sums, x, w = cuda.local.array(square, T), cuda.local.array(each, T), cuda.local.array(each, T)
        t, n, place = cuda.threadIdx.x, cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles
        i0, j0 = place // columns * tile, place % columns * tile
        k, end = cuda.blockIdx.y * part, min(K, cuda.blockIdx.y * part + part)
        ti, tj = (t >> shift) * 4, (t & mask) * 4
        for c in range(square):
            sums[c] = T(0)
        bring_a(a, n * a_batch, i0, M, a_row, k, end, a_k, held_a)
        bring_b(b, n * b_batch, j0, N, b_column, k, end, b_k, held_b)
        put_a(left, 0, held_a)
        put_b(right, 0, held_b)
        cuda.syncthreads()
        now = 0
        while k < end:
            k += DEPTH
            if k < end:                                                    # on their way while the current strips are multiplied
                bring_a(a, n * a_batch, i0, M, a_row, k, end, a_k, held_a)
                bring_b(b, n * b_batch, j0, N, b_column, k, end, b_k, held_b)
            for step in range(DEPTH):
                for g in range(groups):
                    x_four = four(left, now + step * row + ti + g * apart)
                    w_four = four(right, now + step * row + tj + g * apart)
                    for c in range(4):
                        x[g * 4 + c], w[g * 4 + c] = x_four[c], w_four[c]
                for r in range(each):
                    x_r = x[r]
                    for c in range(each):
                        sums[r * each + c] += x_r * w[c]
            if k < end:
                now = half - now
                put_a(left, now, held_a)
                put_b(right, now, held_b)
                cuda.syncthreads()
        start = (cuda.blockIdx.y * (cuda.gridDim.x // tiles) + n) * M * N
        for r in range(each):
            i = i0 + ti + (r >> 2) * apart + (r & 3)
            for c in range(each):
                j = j0 + tj + (c >> 2) * apart + (c & 3)
                if i < M and j < N:
                    value = sums[r * each + c]
                    y[start + i * N + j] = finished(value, bias, j, with_bias, activation) if layer else value
        if layer and activation == TANH:                                   # of what this thread stored: a loop, so that it is written once
            for c in range(square):
                i, j = i0 + ti + (c >> wide + 2) * apart + (c >> wide & 3), j0 + tj + (c >> 2 & groups - 1) * apart + (c & 3)
                if j < N and i < M:
                    y[start + i * N + j] = math.tanh(y[start + i * N + j])
    return product


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    made: list[tuple[Any, tuple[Any, ...]]] = [(add_parts, (T,)) for T in SHAPES]
    for T in SHAPES:
        for vector in (1, 16 // T.dtype.itemsize):
            for shape in _shapes(T, vector):
                made += [(product, (T, *shape, not ta, tb, vector, False)) for ta in (False, True) for tb in (False, True)]
                made.append((product, (T, *shape, True, False, vector, True)))
    return made + tensor_cores.configurations() + packed.configurations() + warpgroups.configurations()


def matmul(device: Any, a: Any, b: Any, y: Any, transpose_a: bool, transpose_b: bool) -> None:
    """reference.matmul. A block for each tile of y, a thread for each square of a tile."""
    _run(device, a, b, None, y, transpose_a, transpose_b, 0)


def dense(device: Any, x: Any, w: Any, bias: Any, y: Any, activation: int) -> None:
    """reference.dense. The product; bias and activation are applied to sums that are still in registers."""
    _run(device, x[None], w[None], bias, y[None], False, False, activation)


def _run(device: Any, a: Any, b: Any, bias: Any, y: Any, transpose_a: bool, transpose_b: bool, activation: int) -> None:
    """y = act(op(a) · op(b) + bias) for arrays of three axes."""
    (batch, M, N), K = y.shape, a.shape[1 if transpose_a else 2]
    if not y.size:
        return
    T, last = scalar_of(y.dtype), (bias is not None, activation)
    if T is float32 and device.precision != "fp32":
        if device.precision == "bf16" and packed.worth(batch, M, N, K):
            multiply = warpgroups.warpgroup_product() if device.architecture == "sm_90" else packed.packed_product()
            packed.run(device, multiply, a, b, bias, y, transpose_a, transpose_b, activation)
        else:
            tensor_cores.run(device, device.precision, a, b, bias, y, transpose_a, transpose_b, activation)
        return
    vector = vector_width(y.dtype, (address(a), address(b)), (M if transpose_a else K, K if transpose_b else N))
    tile, each, at_once, parts, part = _plan(T, vector, batch, M, N, K)
    rows, columns = blocks(M, tile), blocks(N, tile)
    into, layer = (y, any(last)) if parts == 1 else (device.empty((parts, batch, M, N), y.dtype), False)
    bias = y if bias is None else bias                             # never read
    device.launch(product(T, tile, each, at_once, not transpose_a, bool(transpose_b), vector, layer), (batch * rows * columns, parts),
                  a, b, bias, into, M, N, K, M * K, *((1, M) if transpose_a else (K, 1)),
                  K * N, *((K, 1) if transpose_b else (1, N)), columns, rows * columns, part, *last)
    if parts > 1:
        device.launch(add_parts(T), blocks(y.size, 256), into, bias, y, parts, y.size, N, *last)


def _shapes(T: Scalar, vector: int) -> tuple[tuple[int, int, int], ...]:
    """The shapes for a width of loads: the largest tile brings so many numbers that it needs the wide ones."""
    return SHAPES[T] if vector > 1 else SHAPES[T][1:]


def _plan(T: Scalar, vector: int, batch: int, M: int, N: int, K: int) -> tuple[int, int, int, int, int]:
    """(tile, each, at_once, parts, k of a part), a function of the shapes alone: the largest tile that leaves enough of them, or cut k."""
    for tile, each, at_once in _shapes(T, vector):                          # noqa: B007  (the last shape is for what is small)
        tiles = batch * blocks(M, tile) * blocks(N, tile)
        if tiles >= ENOUGH:
            break
    parts = max(1, min(K // PART, 2 * ENOUGH // tiles))
    part = blocks(blocks(K, parts), DEPTH) * DEPTH
    return tile, each, at_once, max(1, blocks(K, part)) if part else 1, max(part, DEPTH)
