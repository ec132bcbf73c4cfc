"""Matrix products in tiles, y[n] = act(A[n] · B[n] + bias), in every precision: what is exact on CUDA cores, tf32 and bf16 on tensor cores.

The loop is that of cuda/engines.py; here are the loaders of plain matrices, the tiles, and who gets which. Any of the two operands may be
transposed: it is the same matrix, whose contiguous axis is the other one, and consecutive threads walk along that one, so that loads
coalesce. A product whose y has few tiles and whose k is long is cut along k: parts are summed afterwards, in their order, so that the same
shapes give the same bits everywhere.

What a block costs: a step of a 128 × 128 tile of tf32 brings (128 + 128) · 16 float32, 16 KiB, and does 2 · 128 · 128 · 16 FLOPs, half a
million: 32 FLOPs a byte. The second-level cache of an H100 gives some 5.5 TB/s, so 176 TFLOP/s, 0.44 of cuBLAS in tf32: it is this floor,
not the tensor cores, that counts; 67 TFLOP/s on CUDA cores are far below it. In bfloat16 the same floor would be a quarter of cuBLAS, so
large products go another way (packed.py), where each number is rounded once instead of once for every tile.
"""
from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from ..cuda.core_tiles import CoreShape
from ..cuda.engines import Choice, Plan, engine_of, mode_of, plan, type_of
from ..cuda.host import address, blocks, vector_width
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float64, int64, kernel
from ..cuda.loading import Loader
from ..cuda.tiles import Shape, quotient, tile_at
from ..cuda.vectors import fetch
from .sums import add_parts, finish

# Tiles for each mode and width of loads, with how much of a multiprocessor they put to use (engines.py). Products of bfloat16 that fill
# larger tiles are packed.
SHAPES: dict[tuple[str, int], tuple[Choice, ...]] = {
    ("float32", 4): ((CoreShape(128, 128, 8, 8, 1), 1.0), (CoreShape(64, 64, 4, 4, 2), 0.8), (CoreShape(32, 32, 4, 4, 4), 0.6)),
    ("float32", 1): ((CoreShape(64, 64, 4, 4, 2), 0.8), (CoreShape(32, 32, 4, 4, 4), 0.6)),
    ("float64", 1): ((CoreShape(64, 64, 4, 4, 1), 0.8), (CoreShape(32, 32, 4, 4, 4), 0.6)),
    ("tf32", 4): ((Shape(128, 128, 64, 32), 1.0), (Shape(64, 64, 32, 32), 0.6)),
    ("bf16", 4): ((Shape(64, 64, 32, 32), 1.0),),
}


@cache
def matrix(T: Scalar, k_first: bool, vector: int) -> Loader:
    """The loader of a matrix (p, start, lines, line_step, k_step)."""
    load = fetch(T, vector)

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
def store_pair(T: Scalar) -> DeviceFunction:
    """What becomes of two neighbouring sums: y[start + i · N + j], with bias and activation, as far as they are inside."""
    finished = finish(T)

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
def product(mode: str, shape: tuple[int, ...], k_first_a: bool, k_first_b: bool, vector: int) -> CudaKernel:
    """y[n] = act(A[n] · B[n] + bias), or a part of the sum along k. Blocks: (batch · tiles of y, parts)."""
    T, (high, wide, *_) = type_of(mode), shape
    walk, put, count, options = engine_of(mode, shape, matrix(T, k_first_a, vector), matrix(T, k_first_b, vector), store_pair(T))

    @kernel(f"a: {T}*, b: {T}*, bias: {T}*, y: {T}*, M: int64, N: int64, K: int64, a_batch: int64, a_row: int64, a_k: int64, "
            "b_batch: int64, b_column: int64, b_k: int64, rows: int64, columns: int64, part: int64, with_bias: int64, activation: int64",
            **options)
    def product(a, b, bias, y, M, N, K, a_batch, a_row, a_k, b_batch, b_column, b_k, rows, columns, part, with_bias, activation):
        sums = cuda.local.array(count, T)
        tiles = rows * columns
        n = quotient(cuda.blockIdx.x, tiles)
        i, j = tile_at(cuda.blockIdx.x - n * tiles, rows, columns)
        i, j, k = i * high, j * wide, cuda.blockIdx.y * part
        walk((a, n * a_batch, M, a_row, a_k), (b, n * b_batch, N, b_column, b_k), i, j, k, min(K, k + part), sums)
        start = (cuda.blockIdx.y * quotient(cuda.gridDim.x, tiles) + n) * M * N
        put((y, start, M, N, bias, with_bias, activation), i, j, sums)
    return product


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that `run` launches."""
    made: list[tuple[Any, tuple[Any, ...]]] = [
        (product, (mode, shape, not transpose_a, transpose_b, vector)) for (mode, vector), shapes in SHAPES.items() for shape, _ in shapes
        for transpose_a in (False, True) for transpose_b in (False, True)]
    return made + [(add_parts, (T,)) for T in dict.fromkeys(type_of(mode) for mode, _ in SHAPES)]


def run(device: Any, a: Any, b: Any, bias: Any, y: Any, transpose_a: bool, transpose_b: bool, activation: int) -> None:
    """y = act(op(a) · op(b) + bias) for arrays of three axes. A block for each tile of y, or of a part of its sums."""
    (batch, M, N), K = y.shape, a.shape[1 if transpose_a else 2]
    lengths = M if transpose_a else K, K if transpose_b else N
    vector = 1 if y.dtype == float64.dtype else vector_width(y.dtype, (address(a), address(b)), lengths)
    mode = mode_of(device.precision, y.dtype, vector)
    shape, parts, part = planned(mode, vector, batch, M, N, K)
    rows, columns, last = blocks(M, shape[0]), blocks(N, shape[1]), (bias is not None, activation)
    into, ending = (y, last) if parts == 1 else (device.empty((parts, batch, M, N), y.dtype), (False, 0))
    bias = y if bias is None else bias                                     # never read
    device.launch(product(mode, shape, not transpose_a, bool(transpose_b), vector), (batch * rows * columns, parts),
                  a, b, bias, into, M, N, K, M * K, *((1, M) if transpose_a else (K, 1)),
                  K * N, *((K, 1) if transpose_b else (1, N)), rows, columns, part, *ending)
    if parts > 1:
        device.launch(add_parts(type_of(mode)), blocks(y.size, 256), into, bias, y, parts, y.size, N, *last)


@lru_cache(maxsize=4096)
def planned(mode: str, vector: int, batch: int, M: int, N: int, K: int) -> Plan:
    """The tiles of a product of these sizes, and how its k is cut."""
    return plan(SHAPES[mode, vector], batch, M, N, K)
