"""The product of packed.py on an H100, by wgmma: four warps multiply 64 × 256 × 16 at once from shared memory, and go on meanwhile.

mma.sync reaches some 0.6 of what an H100's tensor cores can do; wgmma, which reads both operands from shared memory by itself, all of it. A
block owns 128 × 256 of y, and each of its two warpgroups half of that: 64 rows, 128 sums a thread; one block fits on a multiprocessor. A
step, 48 KiB, is 1024 clocks of the tensor cores at their best (128 · 256 · 64 products, 2048 a clock). To feed them the second-level cache
would have to give each multiprocessor 48 bytes a clock; at 5.5 TB/s for all it gives 24. So reading is the floor, as in packed.py: 470
TFLOP/s, 0.64 of cuBLAS. Panels that two blocks get at once (clusters, cp.async.bulk to both) are what would lower it.

The ring has four steps: one is multiplied, the one before may still be, two are on their way. The order within a step makes it right:

    cp_wait, fence_async    what this thread has copied is there, and the tensor cores will see it
    syncthreads             so has everyone; and everyone has waited for the products of the step before the last
    wgmma …, commit         the products of this step begin
    copy                    into the place of the step before the last, which nobody reads any more
    wgmma_wait(1)           the products of the last step are done; those of this one go on beyond the next barrier
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.language import CudaKernel, cuda, float32, kernel, ptx, uint16
from ..cuda.tiles import Shape, quotient, spread, tile_at
from .pack import LINES, PANEL
from .packed import PARAMETERS, STRIP, THREADS, copy_step
from .tiled import store_pair

RING = 4                                   # steps in shared memory
AHEAD = RING - 2                           # steps that are on their way
COLUMNS, DEEP = 2 * LINES, 16              # of one product
SHAPE = Shape(LINES, COLUMNS, 16, COLUMNS, depth=128)         # how the sums lie: 16 rows to a warp


@cache
def warpgroup_product() -> CudaKernel:
    """y[n] = act(A[n] · B[n] + bias) of panels. A block for each tile of y."""
    put, copy, count = spread(SHAPE, store_pair(float32)), copy_step(RING), SHAPE.sums
    rows_of_one = PANEL // 2                                               # numbers of A that a warpgroup multiplies

    @kernel(PARAMETERS, threads=THREADS, shared=RING * STRIP * 2, requires=("HGMMA", "LDGSTS"), only="sm_90a")
    def warpgroup_product(a, b, bias, y, M, N, rows, columns, deep, with_bias, activation):
        s = cuda.shared.array(0, uint16, alignment=1024)
        sums = cuda.local.array(count, float32)
        for c in range(count):
            sums[c] = float32(0)
        tiles = rows * columns
        n = quotient(cuda.blockIdx.x, tiles)
        i, j = tile_at(cuda.blockIdx.x - n * tiles, rows, columns)
        at_a, at_b = (n * rows + i) * deep * (PANEL // 2), (n * columns + j) * 2 * deep * (PANEL // 2)
        own = (cuda.threadIdx.x >> 7) * rows_of_one
        for step in range(AHEAD):
            if step < deep:
                copy(a, at_a, b, at_b, deep, step)
            else:
                ptx.cp_commit()                                            # a group, so that the wait below counts right
        for step in range(deep):
            ptx.cp_wait(1)
            ptx.fence_async()
            cuda.syncthreads()
            at = step % RING * STRIP
            ptx.wgmma_fence()
            for k in range(0, 64, DEEP):
                ptx.wgmma_bf16(COLUMNS, sums, s, at + own + k, at + PANEL + k)
            ptx.wgmma_commit()
            if step + AHEAD < deep:
                copy(a, at_a, b, at_b, deep, step + AHEAD)
            else:
                ptx.cp_commit()
            ptx.wgmma_wait(1)
        ptx.wgmma_wait(0)
        put((y, n * M * N, M, N, bias, with_bias, activation), i * LINES, j * COLUMNS, sums)
    return warpgroup_product


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of the kernel."""
    return [(warpgroup_product, ())]
