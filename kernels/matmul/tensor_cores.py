"""Matrix products of float32 matrices on tensor cores (mma.sync), rounded to bfloat16 or tf32, with float32 sums.

The loop is cuda/tiles.py; here are the loaders of plain matrices, the tiles, and who gets which. Any of the two operands may be transposed:
it is the same matrix, whose contiguous axis is the other one. Products that are not of whole vectors of four are read number by number.

What a block costs: a step of a LARGE tile of tf32 brings (128 + 128) · 16 float32, 16 KiB, and does 2 · 128 · 128 · 16 FLOPs, half a
million: 32 FLOPs a byte. The second-level cache of an H100 gives some 5.5 TB/s, so 176 TFLOP/s, 0.44 of cuBLAS in tf32: it is this floor,
not the tensor cores, that counts. Its 8 warps hold 64 sums a thread. In bfloat16 the same floor would be a quarter of cuBLAS, so large
products go another way (packed.py), where each number is rounded once instead of once for every tile.

SMALL tiles are for products that have few, 16 FLOPs a byte; three blocks of 4 warps, 32 sums a thread, fit on a multiprocessor.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import address, blocks, vector_width
from ..cuda.language import CudaKernel, DeviceFunction, cuda, device, float32, int64, kernel
from ..cuda.loading import Loader
from ..cuda.staging import BYTES
from ..cuda.tiles import Shape, quotient, spread, tile, tile_at
from ..cuda.vectors import fetch
from .sums import add_parts, finish

LARGE, SMALL = Shape(128, 128, 64, 32), Shape(64, 64, 32, 32)
# Tiles for rows of whole vectors, from the largest on; others get SMALL ones. Products of bfloat16 that fill LARGE tiles are packed.
SHAPES = {"tf32": (LARGE, SMALL), "bf16": (SMALL,)}
AT_ONCE = {LARGE: 1, SMALL: 3}             # blocks on a multiprocessor
ENOUGH = 128                               # tiles that keep a GPU busy
PART = 512                                 # of k, at least, where it is cut


@cache
def matrix(k_first: bool, vector: int) -> Loader:
    """The loader of a matrix (p, start, lines, line_step, k_step); one of single numbers takes either axis first."""
    load = fetch(float32, vector)

    @device
    def place(operand, line):
        _, start, lines, line_step, _ = operand
        return (start + line * line_step if line < lines else int64(-1),)

    @device
    def along_k(operand, where, k, end):
        return load(operand[0], where[0] + k, where[0] >= 0 and k < end)

    @device
    def across_k(operand, where, k, end):
        return load(operand[0], where[0] + k * operand[4], where[0] >= 0 and k < end)
    return Loader(place, along_k if k_first and vector > 1 else across_k, k_first, vector, 1)


@cache
def store_pair() -> DeviceFunction:
    """What becomes of two neighbouring sums: y[start + i · N + j], with bias and activation, as far as they are inside."""
    finished = finish(float32)

    @device
    def store(out, i, j, first, second):
        y, start, M, N, bias, with_bias, activation = out
        at = start + i * N + j
        if i < M and j < N:
            y[at] = finished(first, bias, j, with_bias, activation)
        if i < M and j + 1 < N:
            y[at + 1] = finished(second, bias, j + 1, with_bias, activation)
    return store


@cache
def tensor_product(precision: str, shape: Shape, k_first_a: bool, k_first_b: bool, vector: int) -> CudaKernel:
    """y[n] = act(A[n] · B[n] + bias), or a part of the sum along k. Blocks: (batch · tiles of y, parts)."""
    walk, threads, shared, count = tile(precision, shape, matrix(k_first_a, vector), matrix(k_first_b, vector))
    high, wide, put = shape.rows, shape.columns, spread(shape, store_pair())

    @kernel("a: float32*, b: float32*, bias: float32*, y: float32*, M: int64, N: int64, K: int64, a_batch: int64, a_row: int64, "
            "a_k: int64, b_batch: int64, b_column: int64, b_k: int64, rows: int64, columns: int64, part: int64, with_bias: int64, "
            "activation: int64", threads=threads, shared=shared, min_blocks=AT_ONCE[shape], requires=("HMMA",))
    def tensor_product(a, b, bias, y, M, N, K, a_batch, a_row, a_k, b_batch, b_column, b_k, rows, columns, part, with_bias, activation):
        sums = cuda.local.array(count, float32)
        tiles = rows * columns
        n = quotient(cuda.blockIdx.x, tiles)
        i, j = tile_at(cuda.blockIdx.x - n * tiles, rows, columns)
        i, j, k = i * high, j * wide, cuda.blockIdx.y * part
        walk((a, n * a_batch, M, a_row, a_k), (b, n * b_batch, N, b_column, b_k), i, j, k, min(K, k + part), sums)
        start = (cuda.blockIdx.y * quotient(cuda.gridDim.x, tiles) + n) * M * N
        put((y, start, M, N, bias, with_bias, activation), i, j, sums)
    return tensor_product


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that `run` launches."""
    made: list[tuple[Any, tuple[Any, ...]]] = []
    for precision, shapes in SHAPES.items():
        made += [(tensor_product, (precision, shape, not ta, tb, 4)) for shape in shapes for ta in (False, True) for tb in (False, True)]
        made.append((tensor_product, (precision, SMALL, True, False, 1)))
    return made


def run(device: Any, precision: str, a: Any, b: Any, bias: Any, y: Any, transpose_a: bool, transpose_b: bool, activation: int) -> None:
    """y = act(op(a) · op(b) + bias) for float32 arrays of three axes. A block for each tile of y, or of a part of its sums."""
    (batch, M, N), K = y.shape, a.shape[1 if transpose_a else 2]
    vector = vector_width(y.dtype, (address(a), address(b)), (M if transpose_a else K, K if transpose_b else N))
    shape, parts, part = plan(precision, vector, batch, M, N, K)
    rows, columns, last = blocks(M, shape.rows), blocks(N, shape.columns), (bias is not None, activation)
    into, ending = (y, last) if parts == 1 else (device.empty((parts, batch, M, N), y.dtype), (False, 0))
    order = (not transpose_a, bool(transpose_b)) if vector > 1 else (True, False)
    device.launch(tensor_product(precision, shape, *order, vector), (batch * rows * columns, parts),
                  a, b, bias, into, M, N, K, M * K, *((1, M) if transpose_a else (K, 1)),
                  K * N, *((K, 1) if transpose_b else (1, N)), rows, columns, part, *ending)
    if parts > 1:
        device.launch(add_parts(float32), blocks(y.size, 256), into, bias, y, parts, y.size, N, *last)


def plan(precision: str, vector: int, batch: int, M: int, N: int, K: int) -> tuple[Shape, int, int]:
    """(tile, parts, k of a part), a function of the shapes alone: the largest tile that leaves enough of them, or k is cut."""
    for shape in SHAPES[precision] if vector > 1 else (SMALL,):
        tiles = batch * blocks(M, shape.rows) * blocks(N, shape.columns)
        if tiles >= ENOUGH:
            break
    depth = shape.depth // BYTES[precision]
    part = blocks(blocks(K, max(1, min(K // PART, 2 * ENOUGH // tiles))), depth) * depth
    return shape, max(1, blocks(K, part)) if part else 1, max(part, depth)
