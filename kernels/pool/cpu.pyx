# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Pooling on the CPU. Every loop's innermost run goes along C, which is contiguous in images, outputs and positions.

The channels of one cell are worked in blocks of a constant number of lanes (16, 8, 4 or 1), which the compiler turns into
vectors: the lanes' running values stay on the stack, where nothing can alias them. The last block of a cell may overlap the
one before it: both compute the same values, so six channels are two blocks of four.
"""
include "common.pxi"


cdef inline Py_ssize_t first_tap(Py_ssize_t start, Py_ssize_t dilation) noexcept nogil:
    """The first tap of a window that begins at cell `start` to lie at 0 or after it."""
    return 0 if start >= 0 else (dilation - 1 - start) // dilation


cdef inline Py_ssize_t end_tap(Py_ssize_t start, Py_ssize_t dilation, Py_ssize_t taps, Py_ssize_t size) noexcept nogil:
    """One past the last tap of such a window to lie before `size`."""
    if start + dilation * (taps - 1) < size:
        return taps
    return 0 if start >= size else (size - 1 - start) // dilation + 1


cdef inline Py_ssize_t block_lanes(Py_ssize_t channels) noexcept nogil:
    """How many channels one block takes out of `channels`: the widest of 16, 8, 4 and 1 that fits."""
    return 16 if channels >= 16 else 8 if channels >= 8 else 4 if channels >= 4 else 1


cdef struct Taps:
    # The cells of one window that lie inside the image: ky0 <= ky < ky1, kx0 <= kx < kx1, of the window that begins at (iy, ix).
    Py_ssize_t ky0, ky1, kx0, kx1, iy, ix


include "pool/maximum.pxi"
include "pool/weighted.pxi"
