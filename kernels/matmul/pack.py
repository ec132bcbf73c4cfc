"""Matrices rounded to bfloat16 once, and laid out as the products of packed.py read them: in panels, as shared memory is to hold them.

A panel is 128 lines (rows of A, columns of B) of 64 k: 128 rows of 128 bytes, 16 KiB without a gap, in which the 16-byte piece c of row r
lies at c ^ r % 8 (cuda/staging.py says why). Panels come in the order (batch, 128 lines, 64 k); what is beyond the matrix is 0. So whoever
multiplies copies whole panels from end to end, asks nothing, and is done with transposition, alignment and ragged edges.

It costs a pass over memory: 4 bytes are read and 2 written for each number, for two matrices of 4096² some 0.2 GB, 67 µs at 3 TB/s, where
their product at 45 % of cuBLAS takes 420 µs. In exchange the product reads 2 bytes for a number instead of 4, each time that it reads it.
"""
from __future__ import annotations

from functools import cache
from typing import Any

from ..cuda.host import address, blocks, vector_width
from ..cuda.language import CudaKernel, cuda, float32, kernel, ptx, uint32
from ..cuda.vectors import fetch

LINES, STEPS = 128, 64                     # of a panel
PANEL = LINES * STEPS
THREADS = 256


@cache
def pack(k_first: bool, vector: int) -> CudaKernel:
    """Panels of a matrix. A thread makes 8 k of one line, or, where lines are contiguous and loads wide, of four: 16 bytes of each.

    Eight neighbouring threads make a row of a panel, and a warp four groups of rows, so that it writes whole lines of 128 bytes. It reads
    the matrix as it lies: with k first, 256 bytes of each of 4 lines; else 64 bytes, 16 lines, of each of 64 k.
    """
    wide = 1 if k_first or vector == 1 else vector                         # lines of a thread
    width, stride = (8 // vector, vector) if k_first else (8, 1)           # loads of a thread, and how far apart
    many, load = 8 * wide, fetch(float32, vector)

    @kernel("x: float32*, p: uint32*, lines: int64, K: int64, x_batch: int64, x_line: int64, x_k: int64, groups: int64, deep: int64, "
            "size: int64", threads=THREADS)
    def pack(x, p, lines, K, x_batch, x_line, x_k, groups, deep, size):
        held = cuda.local.array(many, float32)
        i = cuda.grid(1)
        if i < size:                           # ((batch · panels along k + panel) · groups of lines + group) · 8 pieces of 8 k + piece
            rest = (i >> 3) // groups
            batch = rest // deep
            along, line = rest - batch * deep, ((i >> 3) - rest * groups) * wide
            start = batch * x_batch + line * x_line
            for n in range(width):
                k = along * STEPS + (i & 7) * 8 + n * stride
                values = load(x, start + k * x_k, line < lines and k < K)
                for v in range(vector):
                    held[n * vector + v if k_first else v * 8 + n] = values[v]
            panel = ((batch * (groups * wide // LINES) + line // LINES) * deep + along) * (PANEL // 2)
            for v in range(wide):
                row, at = line + v & LINES - 1, v * 8
                ptx.store4(p, panel + row * (STEPS // 2) + ((i ^ row) & 7) * 4,
                           ptx.bf16_pair(held[at], held[at + 1]), ptx.bf16_pair(held[at + 2], held[at + 3]),
                           ptx.bf16_pair(held[at + 4], held[at + 5]), ptx.bf16_pair(held[at + 6], held[at + 7]))
    return pack


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that `packed` launches."""
    return [(pack, (True, 4)), (pack, (False, 4)), (pack, (True, 1))]


def packed(device: Any, x: Any, lines: int, K: int, k_first: bool, whole: int) -> Any:
    """The panels of x (batch, lines, K), or (batch, K, lines), with lines up to a multiple of `whole`: words of two bfloat16."""
    batch, vector = x.shape[0], vector_width(x.dtype, (address(x),), (K if k_first else lines,))
    order = k_first or vector == 1
    groups, deep = blocks(lines, whole) * whole // (1 if order else vector), blocks(K, STEPS)
    panels = device.empty((batch, groups * (1 if order else vector) // LINES, deep, PANEL // 2), uint32.dtype)
    size = batch * deep * groups * 8
    device.launch(pack(order, vector), blocks(size, THREADS),
                  x, panels, lines, K, lines * K, *((K, 1) if k_first else (1, lines)), groups, deep, size)
    return panels
