# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Softmax and its logarithm, forward and back, and the cross-entropy loss with its gradient, on the CPU.

Tasks are as many whole rows as make about a thousand values, so that they stay in the first-level cache: the rows, less their maxima, are
written to where the result goes; then all exponentials are taken at once, along the vectors, however short a row is; then
come the sums, row by row.
"""
from libc.math cimport log

from tinygradconv.kernels.softmax import reference

include "common.pxi"
include "numbers.pxi"
include "transcendental.pxi"
include "softmax/rows.pxi"

cdef enum:
    BLOCK = 1024                # values of a task, or of the pieces of a longer row
    SOFTMAX, LOG_SOFTMAX, SOFTMAX_BACKWARD, LOG_SOFTMAX_BACKWARD

include "softmax/loss.pxi"

check_layout()


def log_softmax(x, y):
    """reference.log_softmax. One task per block of rows."""
    if not rows_made(LOG_SOFTMAX, x, None, y):
        reference.log_softmax(x, y)


def softmax(x, y):
    """reference.softmax. One task per block of rows."""
    if not rows_made(SOFTMAX, x, None, y):
        reference.softmax(x, y)


def log_softmax_backward(g, y, dx):
    """reference.log_softmax_backward. One task per block of rows."""
    if not rows_made(LOG_SOFTMAX_BACKWARD, y, g, dx):
        reference.log_softmax_backward(g, y, dx)


def softmax_backward(g, y, dx):
    """reference.softmax_backward. One task per block of rows."""
    if not rows_made(SOFTMAX_BACKWARD, y, g, dx):
        reference.softmax_backward(g, y, dx)


cdef bint rows_made(int what, object x, object g, object y) except -1:
    """y (M, C) from x and g (None forward), which are like it; False, with nothing done, where y is not of floating numbers."""
    cdef int kind = floating_kind(y)
    cdef Py_ssize_t size, C
    if kind == OTHER:
        return False
    size = size_of(y)
    if size == 0:
        return True
    C = (<ndarray>y).lengths[(<ndarray>y).axes - 1]
    cdef void* filled = numbers_of(y, kind, size)
    cdef void* given = numbers_of(x, kind, size)
    cdef void* cotangent = NULL if g is None else numbers_of(g, kind, size)
    with nogil:
        if kind == SINGLE:
            blocks_of_rows(what, <float*>given, <float*>cotangent, <float*>filled, size // C, C)
        else:
            blocks_of_rows(what, <double*>given, <double*>cotangent, <double*>filled, size // C, C)
    return True


cdef void blocks_of_rows(int what, const floating* x, const floating* g, floating* y, Py_ssize_t M, Py_ssize_t C) noexcept nogil:
    """All rows, block by block."""
    cdef Py_ssize_t task, rows = max(1, BLOCK // C), tasks = (M + rows - 1) // rows
    if threads_for(8 * M * C) == 1:                # without the price of entering a parallel region
        for task in range(tasks):
            one_block(what, x, g, y, task * rows, min(M, (task + 1) * rows), C)
    else:
        for task in prange(tasks, schedule="static", num_threads=threads_for(8 * M * C)):
            one_block(what, x, g, y, task * rows, min(M, (task + 1) * rows), C)


cdef void one_block(int what, const floating* x, const floating* g, floating* y, Py_ssize_t start, Py_ssize_t end,
                    Py_ssize_t C) noexcept nogil:
    """Rows start … end − 1."""
    if what == SOFTMAX:
        softmax_rows(x, y, start, end, C)
    elif what == LOG_SOFTMAX:
        log_softmax_rows(x, y, start, end, C)
    elif what == SOFTMAX_BACKWARD:
        softmax_backward_rows(x, g, y, start, end, C)
    else:
        log_softmax_backward_rows(x, g, y, start, end, C)


cdef void log_softmax_rows(const floating* x, floating* y, Py_ssize_t start, Py_ssize_t end, Py_ssize_t C) noexcept nogil:
    """Rows start … end − 1: the exponentials go into a buffer, piece by piece, and only their sums are kept."""
    cdef floating line[BLOCK]
    cdef floating logarithm
    cdef double total
    cdef Py_ssize_t m, c, at, count
    below_maximum(x, y, start, end, C)
    for m in range(start, end):
        total, at = 0, 0
        while at < C:
            count = min(C - at, <Py_ssize_t>BLOCK)
            memcpy(line, y + m * C + at, count * sizeof(floating))
            exponentials(line, count)
            total += sum_of(line, count)
            at += count
        logarithm = <floating>log(total)
        for c in range(C):
            y[m * C + c] -= logarithm


cdef void softmax_rows(const floating* x, floating* y, Py_ssize_t start, Py_ssize_t end, Py_ssize_t C) noexcept nogil:
    """Rows start … end − 1."""
    cdef floating share
    cdef Py_ssize_t m, c
    below_maximum(x, y, start, end, C)
    exponentials(y + start * C, (end - start) * C)
    for m in range(start, end):
        share = 1 / <floating>sum_of(y + m * C, C)
        for c in range(C):
            y[m * C + c] *= share


cdef void softmax_backward_rows(const floating* y, const floating* g, floating* dx, Py_ssize_t start, Py_ssize_t end,
                                Py_ssize_t C) noexcept nogil:
    """dx = y · (g − Σ g · y), row by row."""
    cdef floating total
    cdef Py_ssize_t m, c
    for m in range(start, end):
        total = <floating>sum_of_products(g + m * C, y + m * C, C)
        for c in range(m * C, (m + 1) * C):
            dx[c] = y[c] * (g[c] - total)


cdef void log_softmax_backward_rows(const floating* y, const floating* g, floating* dx, Py_ssize_t start, Py_ssize_t end,
                                    Py_ssize_t C) noexcept nogil:
    """dx = g − e^y · Σ g: the exponentials of all rows at once, then row by row."""
    cdef floating total
    cdef Py_ssize_t m, c
    memcpy(dx + start * C, y + start * C, (end - start) * C * sizeof(floating))
    exponentials(dx + start * C, (end - start) * C)
    for m in range(start, end):
        total = <floating>sum_of(g + m * C, C)
        for c in range(m * C, (m + 1) * C):
            dx[c] = g[c] - dx[c] * total
