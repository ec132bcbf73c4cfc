"""Philox4x32-10 on a GPU: the device functions with which any thread draws any word of the stream (reference.py is the definition)."""
from __future__ import annotations

from ..cuda.language import device, float64, uint32, uint64

FIRST, SECOND = 0xD2511F53, 0xCD9E8D57             # what the counter's words are multiplied by
GOLDEN, ROOT = 0x9E3779B9, 0xBB67AE85              # what each round adds to the key's: golden ratio and √3 − 1
UNIT = 2.0 ** -53


@device
def philox(block, key, step):
    """The four words (uint32) of the counter (block, step), integers of 64 bits, under a key of 64 bits."""
    c0, c1, c2, c3 = uint32(block), uint32(uint64(block) >> 32), uint32(step), uint32(uint64(step) >> 32)
    k0, k1 = uint32(key), uint32(uint64(key) >> 32)
    for _ in range(10):
        first, second = uint64(FIRST) * uint64(c0), uint64(SECOND) * uint64(c2)
        c0, c1 = uint32(uint32(second >> 32) ^ c1 ^ k0), uint32(second)
        c2, c3 = uint32(uint32(first >> 32) ^ c3 ^ k1), uint32(first)
        k0, k1 = uint32(k0 + uint32(GOLDEN)), uint32(k1 + uint32(ROOT))
    return c0, c1, c2, c3


@device
def whole(e, key, step):
    """Element e of the stream of float64 uniform in [0, 1), counted in units of 2⁻⁵³ (uint64): of the words 2e and 2e + 1."""
    w0, w1, w2, w3 = philox(e >> 1, key, step)
    high, low = (w2, w3) if e & 1 else (w0, w1)
    return (uint64(high >> 5) << 26) | uint64(low >> 6)


@device
def below(drawn, limit):
    """One of 0 … limit − 1, all as likely as each other, of a number that `whole` gave; as the augmentations reckon it."""
    found = int(float64(drawn) * UNIT * float64(limit))
    return found if found < limit else limit - 1
