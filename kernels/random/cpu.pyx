# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Philox4x32-10 on the CPU: sixteen counters side by side, so that each word of the ten rounds is a few SIMD registers."""
from libc.stdint cimport uint32_t, uint64_t

include "common.pxi"

cdef enum:
    BLOCKS = 16             # counters worked at once
    WORDS = 4 * BLOCKS      # and the random words that they give


cdef void draw(uint32_t* bits, uint64_t block, uint64_t key, uint64_t step) noexcept nogil:
    """bits[0:WORDS] = the words of the blocks `block` … block + BLOCKS − 1 (reference.philox)."""
    cdef uint32_t c0[BLOCKS]
    cdef uint32_t c1[BLOCKS]
    cdef uint32_t c2[BLOCKS]
    cdef uint32_t c3[BLOCKS]
    cdef uint64_t first, second
    cdef uint32_t k0 = <uint32_t>key, k1 = <uint32_t>(key >> 32)
    cdef int _round, j
    for j in range(BLOCKS):
        c0[j] = <uint32_t>(block + j)
        c1[j] = <uint32_t>((block + j) >> 32)
        c2[j] = <uint32_t>step
        c3[j] = <uint32_t>(step >> 32)
    for _round in range(10):
        for j in range(BLOCKS):
            first = <uint64_t>0xD2511F53 * c0[j]
            second = <uint64_t>0xCD9E8D57 * c2[j]
            c0[j] = <uint32_t>(second >> 32) ^ c1[j] ^ k0
            c1[j] = <uint32_t>second
            c2[j] = <uint32_t>(first >> 32) ^ c3[j] ^ k1
            c3[j] = <uint32_t>first
        k0 += <uint32_t>0x9E3779B9
        k1 += <uint32_t>0xBB67AE85
    for j in range(BLOCKS):
        bits[4 * j] = c0[j]
        bits[4 * j + 1] = c1[j]
        bits[4 * j + 2] = c2[j]
        bits[4 * j + 3] = c3[j]


def random_bits(uint32_t[::1] bits, uint64_t key, uint64_t step):
    """reference.random_bits. One task per 64 words."""
    cdef Py_ssize_t task, size = bits.shape[0]
    if size == 0:
        return
    for task in prange((size + WORDS - 1) // WORDS, nogil=True, schedule="static", num_threads=threads_for(size)):
        fill_words(&bits[0], size, task, key, step)


cdef void fill_words(uint32_t* bits, Py_ssize_t size, Py_ssize_t task, uint64_t key, uint64_t step) noexcept nogil:
    """Words WORDS · task … of `bits`, as many as there are."""
    cdef uint32_t drawn[WORDS]
    cdef Py_ssize_t start = task * WORDS
    draw(drawn, <uint64_t>(start // 4), key, step)
    memcpy(bits + start, drawn, min(size - start, <Py_ssize_t>WORDS) * sizeof(uint32_t))


def dropout(const floating[::1] x, floating[::1] y, double rate, uint64_t key, uint64_t step):
    """reference.dropout. One task per 64 values; the bits never leave the first-level cache."""
    cdef Py_ssize_t task, size = x.shape[0]
    cdef floating scale = <floating>(1 / (1 - rate))
    cdef uint32_t threshold = <uint32_t>(rate * 4294967296.0)
    if size == 0:
        return
    for task in prange((size + WORDS - 1) // WORDS, nogil=True, schedule="static", num_threads=threads_for(size)):
        drop_values(&x[0], &y[0], size, task, threshold, scale, key, step)


cdef void drop_values(const floating* x, floating* y, Py_ssize_t size, Py_ssize_t task, uint32_t threshold, floating scale,
                      uint64_t key, uint64_t step) noexcept nogil:
    """Values WORDS · task …, as many as there are: a whole task has a constant length and no branch, so it runs in registers."""
    cdef uint32_t drawn[WORDS]
    cdef floating values[WORDS]
    cdef Py_ssize_t start = task * WORDS, count = min(size - start, <Py_ssize_t>WORDS)
    cdef int j
    draw(drawn, <uint64_t>(start // 4), key, step)
    memcpy(values, x + start, count * sizeof(floating))
    for j in range(count, WORDS):
        values[j] = 0
    for j in range(WORDS):
        values[j] = values[j] * scale
    for j in range(WORDS):
        values[j] = values[j] if drawn[j] >= threshold else 0
    memcpy(y + start, values, count * sizeof(floating))
