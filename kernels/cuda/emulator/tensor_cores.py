"""ldmatrix and mma: what 32 threads hold together of a matrix, and what they get. Fragments as in PTX ISA 9.0, section 9.7.14.5.

With g = lane // 4 and t = lane % 4, a warp's registers hold

    A (16 × K)   tf32, K = 8:   a0 (g, t)   a1 (g + 8, t)   a2 (g, t + 4)   a3 (g + 8, t + 4)              9.7.14.5.7
                 bf16, K = 16:  the same with columns 2t and 2t + 1 in a register, and + 8 for + 4         9.7.14.5.8
    B (K × 8)    tf32:          b0 (t, g)   b1 (t + 4, g)
                 bf16:          b0 (2t, 2t + 1; g)   b1 (2t + 8, 2t + 9; g)
    C (16 × 8)                  c0 (g, 2t)   c1 (g, 2t + 1)   c2 (g + 8, 2t)   c3 (g + 8, 2t + 1)

The products are exact and the sum is rounded once here; hardware rounds (truncates) on the way, by a few units in the last place.
"""
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

LANES = np.arange(32)
G, T = LANES // 4, LANES % 4
C_ROWS, C_COLUMNS = G[:, None] + 8 * (np.arange(4) // 2), 2 * T[:, None] + np.arange(4) % 2


def _floats(bits: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(bits.astype(np.uint32)).view(np.float32)


def _tf32(words: np.ndarray) -> np.ndarray:
    """The one number in each register, (…, 1): the tensor core ignores the lower 13 bits."""
    return _floats(words & 0xFFFFE000)[..., None]


def _bf16(words: np.ndarray) -> np.ndarray:
    """The two numbers in each register, (…, 2), the lower half first."""
    return np.stack([_floats((words & 0xFFFF) << 16), _floats(words >> 16 << 16)], -1)


def bf16_values(bits: np.ndarray) -> np.ndarray:
    """The float32 that bfloat16's bits stand for."""
    return _floats(bits.astype(np.uint32) << 16)


@cache
def _places(per_register: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Where the numbers in a warp's registers stand in A and in B: (rows, columns) of each (lane, register, number)."""
    register, number = np.arange(4)[:, None], np.arange(per_register)
    g, k = G[:, None, None], per_register * T[:, None, None] + number
    return (g + 8 * (register % 2), k + 4 * per_register * (register // 2)), (k + 4 * per_register * register[:2], g)


def product(operands: list[Any], numbers: Any, per_register: int) -> list[tuple]:
    """c + a·b of a warp: 32 × (a, b, c) in fragments; returns each lane's four sums."""
    a, b, c = zip(*operands)
    places_a, places_b = _places(per_register)
    left, right = np.zeros((16, 8 * per_register)), np.zeros((8 * per_register, 8))
    left[places_a], right[places_b] = numbers(np.array(a, np.uint32)), numbers(np.array(b, np.uint32))
    with np.errstate(all="ignore"):
        sums = (left @ right)[C_ROWS, C_COLUMNS] + np.array(c, np.float32)
        return list(map(tuple, sums.astype(np.float32)))


def mma_tf32(operands: list[Any]) -> list[tuple]:
    """16×8×8, one tf32 number in a register."""
    return product(operands, _tf32, 1)


def mma_bf16(operands: list[Any]) -> list[tuple]:
    """16×8×16, two bfloat16 numbers in a register."""
    return product(operands, _bf16, 2)


def ldmatrix4(rows: list[np.ndarray], transposed: bool = False) -> list[tuple]:
    """Lane l gave row l % 8 of matrix l // 8, as 16 bytes; register m of lane (g, t) is the pair (2t, 2t + 1) of row g of matrix m.

    Transposed, it is the pair (2t, 2t + 1) of column g. PTX ISA 9.0, section 9.7.14.5.15.
    """
    matrices = np.stack([row.view(np.uint16) for row in rows]).reshape(4, 8, 8).astype(np.uint64)
    if transposed:
        matrices = matrices.swapaxes(1, 2)
    words = matrices[:, :, 0::2] | matrices[:, :, 1::2] << 16                         # (matrix, row, pair)
    return [tuple(int(words[m, lane // 4, lane % 4]) for m in range(4)) for lane in LANES]
