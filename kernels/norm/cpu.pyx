# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Normalisation on the CPU: two passes over memory each way, one for sums along the rows and one that applies them.

Channels are contiguous, so sums over rows keep one running value per channel and go along SIMD lanes. So that a row is always
whole registers, as many neighbouring rows are read as one *wide row* as make its length a multiple of 32: with 6 channels, 16
rows are one wide row of 96 columns, column j belonging to channel j % 6. The few rows left over are added one by one.

Accuracy: sums run in the arrays' own type within a block of rows, measured from the block's first row, and are carried on in
double: means and variances are right to some roundings of the deviation (64 at worst), however far the mean lies from zero.

Determinism: rows are cut into chunks by shape alone, and the chunks' sums are added in order.
"""
from libc.math cimport sqrt

include "common.pxi"

include "stores.pxi"
include "transcendental.pxi"
include "norm/columns.pxi"
include "norm/passed.pxi"
include "norm/products.pxi"
include "norm/apply.pxi"
include "norm/response.pxi"


# ---- batch normalisation: one statistic per channel, chunks of rows in parallel

def batch_norm_forward(const floating[:, ::1] x, const floating[::1] scale, const floating[::1] shift, const floating[:, ::1] residual,
                       floating[:, ::1] y, floating[::1] mean, floating[::1] variance, unsigned char[::1] passed, double epsilon,
                       int activation):
    """reference.batch_norm_forward. One task per chunk of rows, twice: sums, then values."""
    if x.shape[0] == 0 or x.shape[1] == 0:
        return
    cdef Plan plan = plan_of(x.shape[0], x.shape[1], 64)
    cdef int threads = threads_for(plan.M * plan.C)
    cdef Py_ssize_t chunk, c, w = plan.width
    cdef bint streams = may_stream(&y[0, 0], plan.M * plan.C, w, sizeof(floating))
    cdef double mu, spread, slope
    cdef double* sums = <double*>scratch(plan.chunks * 2 * w + 2 * plan.C, 3 * w, sizeof(floating))
    cdef double* totals = sums + plan.chunks * 2 * w
    cdef floating* factors = <floating*>(totals + 2 * plan.C)
    cdef const floating* beside = NULL
    cdef unsigned char* bits = NULL
    if passed is not None:
        bits = &passed[0]
    if residual is not None:
        beside = &residual[0, 0]
    with nogil:
        for c in range(plan.C):
            factors[c] = x[0, c]
        tile(factors, 1, &plan)
        for chunk in prange(plan.chunks, schedule="static", num_threads=threads):
            moments_of_chunk(&x[0, 0], factors, chunk, &plan, sums)
        fold_chunks(sums, &plan, totals)
        add_moments_of_rest(&x[0, 0], factors, &plan, totals)
        for c in range(plan.C):
            mu = totals[c] / plan.M
            spread = not_below_zero(totals[plan.C + c] / plan.M - mu * mu)
            mu = mu + factors[c]
            mean[c] = <floating>mu
            variance[c] = <floating>spread
            slope = scale[c] / sqrt(spread + epsilon)
            factors[c] = mean[c]
            factors[w + c] = <floating>slope
            factors[2 * w + c] = <floating>(shift[c] - (mu - mean[c]) * slope)       # what rounding the mean took away
        tile(factors, 3, &plan)
        for chunk in prange(plan.chunks, schedule="static", num_threads=threads):
            apply_chunk(&x[0, 0], factors, beside, &y[0, 0], bits, activation == 1, streams, chunk, &plan)
    free(sums)


def batch_norm_backward(const floating[:, ::1] g, const floating[:, ::1] x, const unsigned char[::1] passed, const floating[::1] scale,
                        const floating[::1] mean, const floating[::1] variance, floating[:, ::1] dx, floating[::1] dscale,
                        floating[::1] dshift, floating[:, ::1] dresidual, double epsilon, int activation):
    """reference.batch_norm_backward. One task per chunk of rows, twice: sums, then values. The cotangent before the activation is
    written by the first pass: two arrays written side by side in the second took longer than reading it once more."""
    if x.shape[0] == 0 or x.shape[1] == 0:
        return
    cdef Plan plan = plan_of(x.shape[0], x.shape[1], 64)
    cdef int threads = threads_for(plan.M * plan.C)
    cdef Py_ssize_t chunk, c, w = plan.width
    cdef bint streams = may_stream(&dx[0, 0], plan.M * plan.C, w, sizeof(floating))
    cdef bint streams_dz = dresidual is not None and may_stream(&dresidual[0, 0], plan.M * plan.C, w, sizeof(floating))
    cdef double inverse, gain
    cdef double* sums = <double*>scratch(plan.chunks * 2 * w + 2 * plan.C, 4 * w, sizeof(floating))
    cdef double* totals = sums + plan.chunks * 2 * w
    cdef floating* factors = <floating*>(totals + 2 * plan.C)
    cdef const floating* cotangent = &g[0, 0]
    cdef const unsigned char* bits = NULL
    cdef floating* kept = NULL
    if activation != 0:
        bits = &passed[0]
    if dresidual is not None:
        kept = &dresidual[0, 0]
    with nogil:
        for c in range(plan.C):
            factors[c] = mean[c]
        tile(factors, 1, &plan)
        for chunk in prange(plan.chunks, schedule="static", num_threads=threads):
            products_of_chunk(cotangent, &x[0, 0], bits, factors, kept, streams_dz, chunk, &plan, sums)
        fold_chunks(sums, &plan, totals)
        add_products_of_rest(cotangent, &x[0, 0], bits, factors, kept, &plan, totals)
        for c in range(plan.C):
            inverse = 1 / sqrt(<double>variance[c] + epsilon)
            gain = scale[c] * inverse
            dshift[c] = <floating>totals[c]
            dscale[c] = <floating>(totals[plan.C + c] * inverse)
            set_gradient_factors(factors + c, w, gain, inverse, totals[c] / plan.M, totals[plan.C + c] / plan.M)
        tile(factors, 4, &plan)
        if kept != NULL:
            cotangent, bits = kept, NULL
        for chunk in prange(plan.chunks, schedule="static", num_threads=threads):
            combine_chunk(cotangent, &x[0, 0], bits, factors, &dx[0, 0], streams, chunk, &plan)
    free(sums)


def affine(const floating[:, ::1] x, const floating[::1] scale, const floating[::1] shift, const floating[:, ::1] residual,
           floating[:, ::1] y, int activation):
    """reference.affine. One task per chunk of rows."""
    if x.shape[0] == 0 or x.shape[1] == 0:
        return
    cdef Plan plan = plan_of(x.shape[0], x.shape[1], 64)
    cdef Py_ssize_t chunk, c, w = plan.width
    cdef bint streams = may_stream(&y[0, 0], plan.M * plan.C, w, sizeof(floating))
    cdef floating* factors = <floating*>scratch(0, 3 * w, sizeof(floating))
    cdef const floating* beside = NULL
    if residual is not None:
        beside = &residual[0, 0]
    with nogil:
        for c in range(plan.C):
            factors[c], factors[w + c], factors[2 * w + c] = 0, scale[c], shift[c]
        tile(factors, 3, &plan)
        for chunk in prange(plan.chunks, schedule="static", num_threads=threads_for(plan.M * plan.C)):
            apply_chunk(&x[0, 0], factors, beside, &y[0, 0], <unsigned char*>NULL, activation == 1, streams, chunk, &plan)
    free(factors)


# ---- group normalisation: one statistic per (image, group), images in parallel

cdef Plan plan_of_sample(Py_ssize_t L, Py_ssize_t G, Py_ssize_t D) noexcept nogil:
    """One chunk per image; a single group needs no columns kept apart, so the image is one long channel."""
    return plan_of(L * D, 1, 1) if G == 1 else plan_of(L, G * D, 1)


def group_norm_forward(const floating[:, :, :, ::1] x, floating[:, :, :, ::1] y, floating[:, ::1] mean, floating[:, ::1] variance,
                       double epsilon):
    """reference.group_norm_forward. One task per run of images."""
    cdef Py_ssize_t N = x.shape[0], L = x.shape[1], G = x.shape[2], D = x.shape[3], part, parts = min(N, 64)
    if N * L * G * D == 0:
        return
    cdef Plan plan = plan_of_sample(L, G, D)
    cdef char* memory = <char*>scratch(parts * 4 * plan.width, parts * 4 * plan.width, sizeof(floating))
    for part in prange(parts, nogil=True, schedule="static", num_threads=threads_for(N * L * G * D)):
        normalise_part(&x[0, 0, 0, 0], &y[0, 0, 0, 0], &mean[0, 0], &variance[0, 0], epsilon, N * part // parts, N * (part + 1) // parts,
                       L * D, G, &plan, memory + part * plan.width * 4 * (sizeof(double) + sizeof(floating)))
    free(memory)


cdef void normalise_part(const floating* x, floating* y, floating* mean, floating* variance, double epsilon, Py_ssize_t start,
                         Py_ssize_t end, Py_ssize_t count, Py_ssize_t G, const Plan* plan, char* memory) noexcept nogil:
    """Images start … end − 1, each of G groups of `count` values."""
    cdef Py_ssize_t n, group, c, w = plan.width, channels = plan.C // G, size = plan.M * plan.C
    cdef double* sums = <double*>memory
    cdef double* totals = sums + 2 * w
    cdef floating* factors = <floating*>(totals + 2 * w)
    cdef double mu, spread, slope
    for n in range(start, end):
        for c in range(plan.C):
            factors[c] = x[n * size + c - c % channels]             # one centre for all the channels of a group
        tile(factors, 1, plan)
        moments_of_chunk(x + n * size, factors, 0, plan, sums)
        fold_chunks(sums, plan, totals)
        add_moments_of_rest(x + n * size, factors, plan, totals)
        for group in range(G):
            mu, spread = 0, 0
            for c in range(group * channels, (group + 1) * channels):
                mu += totals[c] / count
                spread += totals[plan.C + c] / count
            spread = not_below_zero(spread - mu * mu)
            mu = mu + factors[group * channels]
            mean[n * G + group] = <floating>mu
            variance[n * G + group] = <floating>spread
            slope = 1 / sqrt(spread + epsilon)
            for c in range(group * channels, (group + 1) * channels):
                factors[c] = mean[n * G + group]
                factors[w + c] = <floating>slope
                factors[2 * w + c] = <floating>((mean[n * G + group] - mu) * slope)
        tile(factors, 3, plan)
        apply_chunk(x + n * size, factors, <const floating*>NULL, y + n * size, <unsigned char*>NULL, False, False, 0, plan)


def group_norm_backward(const floating[:, :, :, ::1] g, const floating[:, :, :, ::1] x, const floating[:, ::1] mean,
                        const floating[:, ::1] variance, floating[:, :, :, ::1] dx, double epsilon):
    """reference.group_norm_backward. One task per run of images."""
    cdef Py_ssize_t N = x.shape[0], L = x.shape[1], G = x.shape[2], D = x.shape[3], part, parts = min(N, 64)
    if N * L * G * D == 0:
        return
    cdef Plan plan = plan_of_sample(L, G, D)
    cdef char* memory = <char*>scratch(parts * 4 * plan.width, parts * 4 * plan.width, sizeof(floating))
    for part in prange(parts, nogil=True, schedule="static", num_threads=threads_for(N * L * G * D)):
        gradient_part(&g[0, 0, 0, 0], &x[0, 0, 0, 0], &mean[0, 0], &variance[0, 0], &dx[0, 0, 0, 0], epsilon,
                      N * part // parts, N * (part + 1) // parts, L * D, G, &plan,
                      memory + part * plan.width * 4 * (sizeof(double) + sizeof(floating)))
    free(memory)


cdef void gradient_part(const floating* g, const floating* x, const floating* mean, const floating* variance, floating* dx,
                        double epsilon, Py_ssize_t start, Py_ssize_t end, Py_ssize_t count, Py_ssize_t G, const Plan* plan,
                        char* memory) noexcept nogil:
    """Images start … end − 1, each of G groups of `count` values."""
    cdef Py_ssize_t n, group, c, w = plan.width, channels = plan.C // G, size = plan.M * plan.C
    cdef double* sums = <double*>memory
    cdef double* totals = sums + 2 * w
    cdef floating* factors = <floating*>(totals + 2 * w)
    cdef double inverse, mean_g, mean_product
    for n in range(start, end):
        for c in range(plan.C):
            factors[c] = mean[n * G + c // channels]
        tile(factors, 1, plan)
        products_of_chunk(g + n * size, x + n * size, <const unsigned char*>NULL, factors, <floating*>NULL, False, 0, plan, sums)
        fold_chunks(sums, plan, totals)
        add_products_of_rest(g + n * size, x + n * size, <const unsigned char*>NULL, factors, <floating*>NULL, plan, totals)
        for group in range(G):
            mean_g, mean_product = 0, 0
            for c in range(group * channels, (group + 1) * channels):
                mean_g += totals[c] / count
                mean_product += totals[plan.C + c] / count
            inverse = 1 / sqrt(<double>variance[n * G + group] + epsilon)
            for c in range(group * channels, (group + 1) * channels):
                set_gradient_factors(factors + c, w, inverse, inverse, mean_g, mean_product)
        tile(factors, 4, plan)
        combine_chunk(g + n * size, x + n * size, <const unsigned char*>NULL, factors, dx + n * size, False, 0, plan)


# ---- local response normalisation: rows in parallel

def local_response_norm_forward(const floating[:, ::1] x, floating[:, ::1] y, Py_ssize_t size, double alpha, double beta, double k):
    """reference.local_response_norm_forward. One run of rows per thread: no row depends on another."""
    cdef Py_ssize_t M = x.shape[0], C = x.shape[1], part
    if M * C == 0:
        return
    cdef int threads = threads_for(M * C)
    cdef Response r = response_of(C, size, alpha, beta, k)
    cdef floating* memory = <floating*>zeros(threads * 3 * r.length, sizeof(floating))
    for part in prange(threads, nogil=True, schedule="static", num_threads=threads):
        response_part(&x[0, 0], &y[0, 0], M * part // threads, M * (part + 1) // threads, &r, memory + part * 3 * r.length)
    free(memory)


def local_response_norm_backward(const floating[:, ::1] g, const floating[:, ::1] x, floating[:, ::1] dx, Py_ssize_t size, double alpha,
                                 double beta, double k):
    """reference.local_response_norm_backward. One run of rows per thread: no row depends on another."""
    cdef Py_ssize_t M = x.shape[0], C = x.shape[1], part
    if M * C == 0:
        return
    cdef int threads = threads_for(M * C)
    cdef Response r = response_of(C, size, alpha, beta, k)
    cdef floating* memory = <floating*>zeros(threads * 5 * r.length, sizeof(floating))
    for part in prange(threads, nogil=True, schedule="static", num_threads=threads):
        response_gradient_part(&g[0, 0], &x[0, 0], &dx[0, 0], M * part // threads, M * (part + 1) // threads, &r,
                               memory + part * 5 * r.length)
    free(memory)
