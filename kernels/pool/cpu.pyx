# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Pooling on the CPU. Every loop's innermost run goes along C, which is contiguous in images, outputs and positions.

A task is one row of windows, or one image row where windows overlap and a gradient gathers from them. The channels of one cell are
worked in blocks of four SIMD registers, or of two or one where there are fewer channels. The last block of a cell may overlap the one
before it: both compute the same values. With fewer channels than lanes, a register reads and writes on into the next cell of the same
row, which is written after it. Pointers count in elements through `at`.
"""
include "common.pxi"

cdef inline const vector* at(const vector* array, Py_ssize_t element) noexcept nogil:
    """Where a register that begins at this element of the array lies."""
    if vector is vector_float:
        return <const vector*>(<const float*>array + element)
    else:
        return <const vector*>(<const double*>array + element)


cdef inline Py_ssize_t lanes_of(const vector* array) noexcept nogil:
    """Elements per register."""
    return TGC_BYTES // (4 if vector is vector_float else 8)


cdef inline vector zeros(const vector* like) noexcept nogil:
    """A register of zeros."""
    cdef vector value
    memset(&value, 0, TGC_BYTES)
    return value


cdef inline vector read(const vector* array, Py_ssize_t element, Py_ssize_t end, const bint partial) noexcept nogil:
    """The register that begins at an element. With `partial`, one that would read past `end` takes zeros from there on."""
    cdef vector value
    cdef Py_ssize_t itemsize = 4 if vector is vector_float else 8
    if partial and element + lanes_of(array) > end:
        memset(&value, 0, TGC_BYTES)
        memcpy(&value, at(array, element), (end - element) * itemsize)
        return value
    return at(array, element)[0]


cdef inline void write(vector* array, Py_ssize_t element, vector value, Py_ssize_t end, const bint partial) noexcept nogil:
    """Store a register at an element. With `partial`, one that would reach past `end` ends there; one before it runs on into the
    next cell, whose own values are stored after it."""
    if partial and element + lanes_of(array) > end:
        memcpy(<void*>at(<const vector*>array, element), &value, (end - element) * (4 if vector is vector_float else 8))
    else:
        (<vector*>at(<const vector*>array, element))[0] = value


cdef inline vector scaled(const vector* numbers, Py_ssize_t index, vector value) noexcept nogil:
    """numbers[index] · value."""
    if vector is vector_float:
        return (<const float*>numbers)[index] * value
    else:
        return (<const double*>numbers)[index] * value


cdef inline Py_ssize_t first_tap(Py_ssize_t start, Py_ssize_t dilation) noexcept nogil:
    """The first tap of a window that begins at cell `start` to lie at 0 or after it."""
    return 0 if start >= 0 else (dilation - 1 - start) // dilation


cdef inline Py_ssize_t end_tap(Py_ssize_t start, Py_ssize_t dilation, Py_ssize_t taps, Py_ssize_t size) noexcept nogil:
    """One past the last tap of such a window to lie before `size`."""
    if start + dilation * (taps - 1) < size:
        return taps
    return 0 if start >= size else (size - 1 - start) // dilation + 1


include "pool/taps.pxi"
include "stores.pxi"
include "pool/stream.pxi"
include "pool/blocks.pxi"
include "pool/windows.pxi"
include "pool/cover.pxi"
include "pool/maximum.pxi"
include "pool/weighted.pxi"
