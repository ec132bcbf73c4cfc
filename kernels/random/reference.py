"""Random bits that depend only on a key and a position: the Philox4x32-10 counter generator, and dropout by it.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". Ten rounds turn a counter of four 32-bit
words, under a key of two, into four random words. Nothing is carried from one block to the next, so any thread may start
anywhere, and every device draws the same stream.
"""
from __future__ import annotations

import numpy as np

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = 0x9E3779B9, 0xBB67AE85                      # what each round adds to the two words of the key: golden ratio and √3 − 1
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(counter, key):
    """The four words of each counter, uint32 (blocks, 4), under the 64-bit integer `key`: counter (blocks, 4) integers."""
    c0, c1, c2, c3 = (counter[:, word].astype(np.uint64) for word in range(4))
    k0, k1 = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(10):
        first, second = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = second >> HALF ^ c1 ^ np.uint64(k0), second & LOW, first >> HALF ^ c3 ^ np.uint64(k1), first & LOW
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def random_bits(bits, key, step):
    """bits[e] = word e % 4 of Philox4x32-10 of the counter (block low, block high, step low, step high), block = e // 4.

    bits  uint32, one axis, filled
    key   integer of 64 bits: the low word is the first of Philox's key
    step  integer of 64 bits
    """
    blocks = np.arange(-(-len(bits) // 4), dtype=np.uint64)
    low, high = (np.full(len(blocks), word, np.uint64) for word in (step & 0xFFFFFFFF, step >> 32 & 0xFFFFFFFF))
    bits[...] = philox(np.stack([blocks & LOW, blocks >> HALF, low, high], axis=1), key).reshape(-1)[:len(bits)]


def dropout(x, y, rate, key, step):
    """y[e] = x[e] / (1 − rate) where random_bits(key, step)[e] ≥ ⌊rate · 2³²⌋, else 0.

    x, y       one axis; y filled
    rate       the share that is dropped, 0 ≤ rate < 1
    key, step  as in random_bits
    """
    bits = np.empty(len(x), np.uint32)
    random_bits(bits, key, step)
    y[...] = np.where(bits >= int(rate * 2 ** 32), x * x.dtype.type(1 / (1 - rate)), 0)
