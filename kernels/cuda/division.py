"""Division by a number that the host knows: a multiplication and a shift, where the GPU's own division takes twenty instructions and more.

⌊n / d⌋ = ⌊n · m / 2ˢ⌋ for all 0 ≤ n < 2³¹, where s is the number of bits of (2³¹ − 1) · d and m = ⌊2ˢ / d⌋ + 1: m · d is more than 2ˢ, but
by d at most, so that n · m / 2ˢ exceeds n / d by n / 2ˢ < 1 / d at most, too little to reach the next whole number. m has at most 32 bits.
(Granlund and Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994, theorem 4.2.)
"""
from __future__ import annotations

from functools import lru_cache

from .language import device, int64, uint32, uint64

LARGEST = 2**31 - 1                        # what can be divided so


@lru_cache(maxsize=4096)
def reciprocal(d: int) -> int:
    """s · 2³² + m for a divisor 1 ≤ d < 2³¹: the one number that `divided` needs of it."""
    if not 1 <= d <= LARGEST:
        raise ValueError(f"reciprocal: a divisor must be from 1 to {LARGEST:,}, got {d:,}")
    shift = (LARGEST * d).bit_length()
    return shift << 32 | ((1 << shift) // d + 1)


@device
def divided(n, r):
    """n // d for 0 ≤ n < 2³¹ and r = reciprocal(d); for any other n, some number."""
    return int64((uint64(uint32(n)) * uint64(uint32(r))) >> uint64(r >> 32))
