# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Pooling by listed windows on the CPU: every loop's innermost run goes along B, which is contiguous in images, results and positions.

A task is one row of B results: those of one window, or of one place. It is worked in strips, which stay in the first-level cache while
the rows that they are made of pass by; every row of x is read once for each window that covers it. Sums are carried in double,
whatever the arrays hold, and rounded once, as in the definition.
"""
from libc.stdint cimport int64_t

include "common.pxi"

cdef enum:
    STRIP = 256                 # columns: 2 KB of sums


def adaptive_mean(const floating[:, :, ::1] x, const int64_t[::1] starts, const int64_t[::1] ends, const floating[::1] scale,
                  floating[:, :, ::1] y):
    """reference.adaptive_mean. One task per window of each image."""
    cdef Py_ssize_t A = y.shape[0], windows = y.shape[1], B = y.shape[2], task, a, i
    if A * windows * B == 0:
        return
    for task in prange(A * windows, nogil=True, schedule="static", num_threads=threads_for(A * B * max(windows, x.shape[1]))):
        a, i = task // windows, task % windows
        mean_of_rows(&x[a, starts[i], 0], ends[i] - starts[i], scale[i], &y[a, i, 0], B)


def adaptive_spread(const floating[:, :, ::1] g, const int64_t[::1] starts, const int64_t[::1] ends, const floating[::1] scale,
                    floating[:, :, ::1] x):
    """reference.adaptive_spread. One task per place of each image, which gathers from the windows that cover it."""
    cdef Py_ssize_t A = x.shape[0], places = x.shape[1], B = x.shape[2], windows = g.shape[1], task, a, p
    cdef Py_ssize_t* covering
    if A * places * B == 0:
        return
    covering = <Py_ssize_t*>malloc(2 * places * sizeof(Py_ssize_t))
    if covering == NULL:
        raise MemoryError(f"adaptive_spread: no memory for the list of {places} places")
    list_covering(&starts[0], &ends[0], windows, places, covering)
    for task in prange(A * places, nogil=True, schedule="static", num_threads=threads_for(A * B * max(windows, places))):
        a, p = task // places, task % places
        spread_to_place(&g[a, 0, 0], &starts[0], &ends[0], &scale[0], p, covering[2 * p], covering[2 * p + 1], &x[a, p, 0], B)
    free(covering)


def adaptive_max(const floating[:, :, ::1] x, const int64_t[::1] starts, const int64_t[::1] ends, floating[:, :, ::1] y,
                 int64_t[:, :, ::1] where):
    """reference.adaptive_max. One task per window of each image."""
    cdef Py_ssize_t A = y.shape[0], windows = y.shape[1], B = y.shape[2], places = x.shape[1], task, a, i
    if A * windows * B == 0:
        return
    for task in prange(A * windows, nogil=True, schedule="static", num_threads=threads_for(A * B * max(windows, places))):
        a, i = task // windows, task % windows
        maximum_of_rows(&x[a, starts[i], 0], ends[i] - starts[i], (a * places + starts[i]) * B, &y[a, i, 0], &where[a, i, 0], B)


cdef void mean_of_rows(const floating* x, Py_ssize_t rows, double scale, floating* y, Py_ssize_t B) noexcept nogil:
    """y[b] = scale · Σ x[p, b] over the rows p."""
    cdef double line[STRIP]
    cdef Py_ssize_t at = 0, count, p, j
    while at < B:
        count = min(B - at, <Py_ssize_t>STRIP)
        for j in range(count):
            line[j] = x[at + j]
        for p in range(1, rows):
            for j in range(count):
                line[j] += x[p * B + at + j]
        for j in range(count):
            y[at + j] = <floating>(line[j] * scale)
        at += count


cdef void list_covering(const int64_t* starts, const int64_t* ends, Py_ssize_t windows, Py_ssize_t places,
                        Py_ssize_t* covering) noexcept nogil:
    """covering[2p], covering[2p + 1]: the first window that covers the place p, and one past the last; 0, 0 where there is none.

    Not every one in between need cover it, as windows may be listed in any order; those of a pooling do.
    """
    cdef Py_ssize_t i, p
    memset(covering, 0, 2 * places * sizeof(Py_ssize_t))
    for i in range(windows):
        for p in range(starts[i], ends[i]):
            if covering[2 * p + 1] == 0:
                covering[2 * p] = i
            covering[2 * p + 1] = i + 1


cdef void spread_to_place(const floating* g, const int64_t* starts, const int64_t* ends, const floating* scale, Py_ssize_t place,
                          Py_ssize_t first, Py_ssize_t end, floating* x, Py_ssize_t B) noexcept nogil:
    """x[b] = Σ scale[i] · g[i, b] over the windows i from `first` to `end` − 1 that cover the place."""
    cdef double line[STRIP]
    cdef double share
    cdef Py_ssize_t at = 0, count, i, j
    while at < B:
        count = min(B - at, <Py_ssize_t>STRIP)
        for j in range(count):
            line[j] = 0
        for i in range(first, end):
            if starts[i] <= place < ends[i]:
                share = scale[i]
                for j in range(count):
                    line[j] += share * g[i * B + at + j]
        for j in range(count):
            x[at + j] = <floating>line[j]
        at += count


cdef void maximum_of_rows(const floating* x, Py_ssize_t rows, int64_t position, floating* y, int64_t* where, Py_ssize_t B) noexcept nogil:
    """y[b] = the largest of x[p, b] over the rows p, where[b] = position + p·B + b for the first such p. The first NaN is the largest."""
    cdef Py_ssize_t at = 0, end, p, j
    cdef floating value
    cdef bint larger
    while at < B:
        end = min(B, at + STRIP)
        for j in range(at, end):
            y[j], where[j] = x[j], position + j
        for p in range(1, rows):
            for j in range(at, end):
                value = x[p * B + j]
                larger = (value > y[j]) | ((value != value) & (y[j] == y[j]))          # no `or`: a branch would end the vectors
                y[j] = value if larger else y[j]
                where[j] = position + p * B + j if larger else where[j]
        at = end
