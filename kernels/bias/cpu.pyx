# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The gradient of a bias on the CPU: one pass over the cotangent, in the wide rows and chunks of normalisation (norm/columns.pxi).

Channels are contiguous, so the sums of a block of rows keep one running value per channel and go along SIMD lanes. They run in the
arrays' own type within a block and are carried on in double; chunks depend on the shape alone and are added in order.
"""
include "common.pxi"

include "slope.pxi"
include "stores.pxi"
include "norm/columns.pxi"


def bias_backward(const floating[:, ::1] g, const floating[:, ::1] y, floating[:, ::1] dz, floating[::1] dbias, int activation):
    """reference.bias_backward. One task per chunk of rows."""
    cdef Plan plan
    cdef Py_ssize_t chunk, c
    cdef double* sums
    cdef double* totals
    cdef const floating* result = NULL
    cdef floating* kept = NULL
    if g.shape[0] == 0 or g.shape[1] == 0:
        if dbias is not None:
            dbias[:] = 0
        return
    plan = plan_of(g.shape[0], g.shape[1], 64)
    if activation != 0:
        result = &y[0, 0]
    if dz is not None:
        kept = &dz[0, 0]
    sums = <double*>scratch(plan.chunks * 2 * plan.width + 2 * plan.C, 0, sizeof(floating))
    totals = sums + plan.chunks * 2 * plan.width
    with nogil:
        for chunk in prange(plan.chunks, schedule="static", num_threads=threads_for(plan.M * plan.C)):
            products_of_chunk(&g[0, 0], <const floating*>NULL, result, <const floating*>NULL, kept, activation, False, chunk, &plan, sums)
        fold_chunks(sums, &plan, totals)
        add_products_of_rest(&g[0, 0], <const floating*>NULL, result, <const floating*>NULL, kept, activation, &plan, totals)
    if dbias is not None:
        for c in range(plan.C):
            dbias[c] = <floating>totals[c]
    free(sums)
