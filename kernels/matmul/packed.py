"""Large products in bfloat16: both matrices are rounded and laid out in panels first (pack.py), then multiplied by mma.sync.

A block owns 128 × 256 of y. A step copies one panel of A and two of B, 48 KiB, and does 2 · 128 · 256 · 64 FLOPs = 4 Mi: 85 FLOPs a byte of
the second-level cache, which at 5.5 TB/s allows 470 TFLOP/s, 0.64 of cuBLAS on an H100. The tensor cores allow mma.sync some 0.6 of it too.
Shared memory holds a ring of three steps: two are on their way (cp.async) while the third is multiplied, and one barrier a step is enough.
Each of the 8 warps owns 64 × 64: a step of mma reads 8 × 512 bytes of shared memory for 32 mma, 128 bytes each, half of what shared memory
gives in that time. A thread holds 128 sums; one block fits on a multiprocessor, of shared memory as of registers.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import blocks
from ..cuda.language import CudaKernel, DeviceFunction, cuda, device, float32, kernel, ptx, uint32
from ..cuda.tiles import Shape, multiplier, quotient, spread, tile_at
from .pack import LINES, PANEL, STEPS, packed
from .pack import configurations as pack_configurations
from .tiled import store_pair

SHAPE = Shape(LINES, 2 * LINES, 64, 64, depth=128)
RING = 3                                   # steps in shared memory
THREADS = SHAPE.threads
STRIP = 3 * PANEL                          # numbers of a step: a panel of A, two of B
PARAMETERS = ("a: uint32*, b: uint32*, bias: float32*, y: float32*, M: int64, N: int64, rows: int64, columns: int64, deep: int64, "
              "with_bias: int64, activation: int64")
WORTH = 96                                 # tiles, from which on rounding first pays


@cache
def copy_step(ring: int) -> DeviceFunction:
    """A function of (a, at_a, b, at_b, deep, step): begins to copy the panels of a step into its place in the ring.

    The panels of A lie behind one another from a[at_a] on, those of B from b[at_b] on, `deep` of them; B's second 128 columns follow.
    Thread t copies the t-th 16 bytes, and every 4 KiB from there: copies coalesce, and shared memory is written from end to end.
    """
    panel, strip, each = PANEL // 2, STRIP // 2, 4 * THREADS               # in words of two numbers
    count = panel // each

    @device
    def copy(a, at_a, b, at_b, deep, step):
        s, t = cuda.shared.array(0, uint32, alignment=1024), cuda.threadIdx.x * 4
        to = step % ring * strip + t
        at_a, at_b = at_a + step * panel + t, at_b + step * panel + t
        for n in range(count):
            ptx.cp_async16(s, to + n * each, a, at_a + n * each, 16)
            ptx.cp_async16(s, to + panel + n * each, b, at_b + n * each, 16)
            ptx.cp_async16(s, to + 2 * panel + n * each, b, at_b + deep * panel + n * each, 16)
        ptx.cp_commit()
    return copy


@cache
def packed_product() -> CudaKernel:
    """y[n] = act(A[n] · B[n] + bias) of panels. A block for each tile of y."""
    multiply, put, copy, count = multiplier("bf16", SHAPE, True, True), spread(SHAPE, store_pair(float32)), copy_step(RING), SHAPE.sums

    @kernel(PARAMETERS, threads=THREADS, shared=RING * STRIP * 2, requires=("HMMA", "LDGSTS", "LDSM"))
    def packed_product(a, b, bias, y, M, N, rows, columns, deep, with_bias, activation):
        sums = cuda.local.array(count, float32)
        for c in range(count):
            sums[c] = float32(0)
        tiles = rows * columns
        n = quotient(cuda.blockIdx.x, tiles)
        i, j = tile_at(cuda.blockIdx.x - n * tiles, rows, columns)
        at_a, at_b = (n * rows + i) * deep * (PANEL // 2), (n * columns + j) * 2 * deep * (PANEL // 2)
        for step in range(RING - 1):
            if step < deep:
                copy(a, at_a, b, at_b, deep, step)
            else:
                ptx.cp_commit()                                            # a group, so that the wait below counts right
        for step in range(deep):
            ptx.cp_wait(1)
            cuda.syncthreads()                                             # this step is here for all; the one before is read by none
            if step + (RING - 1) < deep:
                copy(a, at_a, b, at_b, deep, step + (RING - 1))
            else:
                ptx.cp_commit()
            multiply(step % RING * STRIP, sums)
        put((y, n * M * N, M, N, bias, with_bias, activation), i * LINES, j * (2 * LINES), sums)
    return packed_product


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel of a packed product."""
    return [(packed_product, ()), *pack_configurations()]


def worth(batch: int, M: int, N: int, K: int) -> bool:
    """Whether a product is large enough to be packed: tiles to keep a GPU busy, and each number is used often."""
    return batch * blocks(M, SHAPE.rows) * blocks(N, SHAPE.columns) >= WORTH and K >= STEPS


def run(device: Any, multiply: CudaKernel, a: Any, b: Any, bias: Any, y: Any, transpose_a: bool, transpose_b: bool,
        activation: int) -> None:
    """y = act(op(a) · op(b) + bias) for float32 arrays of three axes, by `packed_product`, or another kernel that takes the same."""
    (batch, M, N), K = y.shape, a.shape[1 if transpose_a else 2]
    rows, columns = blocks(M, SHAPE.rows), blocks(N, SHAPE.columns)
    left = packed(device, a, M, K, not transpose_a, SHAPE.rows)
    right = packed(device, b, N, K, bool(transpose_b), SHAPE.columns)
    device.launch(multiply, batch * rows * columns, left, right, bias, y, M, N, rows, columns, blocks(K, STEPS),
                  bias is not None, activation)
