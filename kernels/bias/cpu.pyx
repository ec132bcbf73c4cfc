# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The gradient of a bias on the CPU: one pass over the cotangent, in the wide rows and chunks of normalisation (norm/columns.pxi).

Channels are contiguous, so the sums of a block of rows keep one running value per channel and go along SIMD lanes. They run in the
arrays' own type within a block and are carried on in double; chunks depend on the shape alone and are added in order.
"""
from tinygradconv.kernels.bias import reference

include "common.pxi"
include "numbers.pxi"
include "slope.pxi"
include "stores.pxi"
include "norm/columns.pxi"


check_layout()


def bias_backward(g, y, dz, dbias, int activation):
    """reference.bias_backward. One task per chunk of rows."""
    cdef int kind = floating_kind(g)
    if kind == OTHER:
        reference.bias_backward(g, y, dz, dbias, activation)
        return
    cdef Py_ssize_t M = length_of(g, 0, 2), C = length_of(g, 1, 2)
    cdef void* given = numbers_of(g, kind, M * C)
    cdef void* result = NULL if activation == 0 else numbers_of(y, kind, M * C)
    cdef void* kept = NULL if dz is None else numbers_of(dz, kind, M * C)
    cdef void* filled = NULL if dbias is None else numbers_of(dbias, kind, C)
    cdef Plan plan
    cdef double* sums
    if M * C == 0:
        if dbias is not None:
            dbias[...] = 0
        return
    plan = plan_of(M, C, 64)
    sums = <double*>scratch(plan.chunks * 2 * plan.width + 2 * plan.C, 0, 0)
    with nogil:
        if kind == SINGLE:
            slopes_and_sums(<float*>given, <float*>result, <float*>kept, <float*>filled, activation, &plan, sums)
        else:
            slopes_and_sums(<double*>given, <double*>result, <double*>kept, <double*>filled, activation, &plan, sums)
    free(sums)


cdef void slopes_and_sums(const floating* g, const floating* y, floating* dz, floating* dbias, int activation, const Plan* plan,
                          double* sums) noexcept nogil:
    """Chunk by chunk, then what no wide row holds; dz and dbias may be NULL."""
    cdef double* totals = sums + plan.chunks * 2 * plan.width
    cdef Py_ssize_t chunk, c
    if threads_for(plan.M * plan.C) == 1:          # without the price of entering a parallel region
        for chunk in range(plan.chunks):
            slopes_of_chunk(g, y, dz, activation, chunk, plan, sums)
    else:
        for chunk in prange(plan.chunks, schedule="static", num_threads=threads_for(plan.M * plan.C)):
            slopes_of_chunk(g, y, dz, activation, chunk, plan, sums)
    fold_chunks(sums, plan, totals)
    add_slopes_of_rest(g, y, dz, activation, plan, totals)
    if dbias != NULL:
        for c in range(plan.C):
            dbias[c] = <floating>totals[c]


cdef void slopes_of_block(const vector* g, const vector* y, vector* dz, Py_ssize_t rows, Py_ssize_t stride, int activation,
                          vector* sums) noexcept nogil:
    """One strip of columns of a block: dz = g · act'(z), kept unless NULL; sums = Σ dz."""
    cdef vector once[TGC_STRIP]
    cdef vector d
    cdef Py_ssize_t m, j
    memset(once, 0, sizeof(once))
    for m in range(rows):
        for j in range(TGC_STRIP):
            d = sloped(g[m * stride + j], y, m * stride + j, activation)
            once[j] = once[j] + d
            if dz != NULL:
                dz[m * stride + j] = d
    for j in range(TGC_STRIP):
        sums[j] = once[j]


cdef void slopes_of_chunk(const floating* g, const floating* y, floating* dz, int activation, Py_ssize_t chunk, const Plan* plan,
                          double* sums) noexcept nogil:
    """dz = g · act'(z), and Σ dz over one chunk of wide rows; y and dz may be NULL. Of fold_chunks' pairs the second are 0."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, end = plan.wide * (chunk + 1) // plan.chunks, at
    cdef Py_ssize_t strip = TGC_STRIP * TGC_BYTES // sizeof(floating), stride = plan.width * sizeof(floating) // TGC_BYTES
    cdef Py_ssize_t m, rows, j, k
    cdef floating part[32]                              # TGC_STRIP registers, 128 bytes at most
    cdef double* once = sums + 2 * chunk * plan.width
    memset(once, 0, 2 * plan.width * sizeof(double))
    for m from start <= m < end by plan.block:
        rows = min(plan.block, end - m)
        for j from 0 <= j < plan.width by strip:
            at = m * plan.width + j
            if floating is float:
                slopes_of_block(<const vector_float*>(g + at), <const vector_float*>further(y, at), <vector_float*>further(dz, at), rows,
                                stride, activation, <vector_float*>part)
            else:
                slopes_of_block(<const vector_double*>(g + at), <const vector_double*>further(y, at), <vector_double*>further(dz, at), rows,
                                stride, activation, <vector_double*>part)
            for k in range(strip):
                once[j + k] += part[k]


cdef void add_slopes_of_rest(const floating* g, const floating* y, floating* dz, int activation, const Plan* plan,
                             double* totals) noexcept nogil:
    """slopes_of_chunk for the rows that no wide row holds, added to the totals."""
    cdef Py_ssize_t i
    cdef floating d
    for i in range((plan.M - plan.rest) * plan.C, plan.M * plan.C):
        d = sloped_number(g[i], y, i, activation)
        totals[i % plan.C] += d
        if dz != NULL:
            dz[i] = d
