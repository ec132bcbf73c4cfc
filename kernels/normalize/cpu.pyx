# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""(x − mean) / deviation on the CPU: one pass, which reads bytes or float32 and writes float32.

The loop runs along memory, over rows of several pixels: means and deviations are repeated as often as fits into `WIDTH` values, so the
few channels of a pixel do not cut the vectors short. On the caller's thread, as warp is, and for the same reason.
"""
import numpy as np

from libc.stdint cimport uint8_t

include "common.pxi"

cdef enum:
    WIDTH = 512             # values of a row, where one pixel has no more channels: 4 KB of means and deviations stay in the cache

cdef object BYTES = np.dtype(np.uint8)

ctypedef fused value:
    uint8_t
    float


def normalize(x, const float[::1] mean, const float[::1] deviation, float[:, ::1] y):
    """reference.normalize."""
    cdef const uint8_t[:, ::1] as_bytes
    cdef const float[:, ::1] as_floats
    cdef Py_ssize_t k, C = y.shape[1], size = y.shape[0] * C, width
    cdef float* repeated
    if size == 0:
        return
    width = max(1, WIDTH // C) * C
    repeated = <float*>malloc(2 * width * sizeof(float))
    if repeated == NULL:
        raise MemoryError(f"normalize: no memory for the numbers of {C} channels")
    for k in range(width):
        repeated[k], repeated[width + k] = mean[k % C], deviation[k % C]
    if x.dtype == BYTES:
        as_bytes = x
        with nogil:
            normalize_rows(&as_bytes[0, 0], repeated, width, &y[0, 0], size)
    else:
        as_floats = x
        with nogil:
            normalize_rows(&as_floats[0, 0], repeated, width, &y[0, 0], size)
    free(repeated)


cdef void normalize_rows(const value* x, const float* repeated, Py_ssize_t width, float* y, Py_ssize_t size) noexcept nogil:
    """Rows of `width` values; the last may be shorter."""
    cdef Py_ssize_t row, k
    for row in range((size + width - 1) // width):
        for k in range(min(width, size - row * width)):
            y[row * width + k] = (<float>x[row * width + k] - repeated[k]) / repeated[width + k]
