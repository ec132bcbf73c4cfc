# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Softmax and its logarithm, forward and back, and the cross-entropy loss with its gradient, on the CPU.

Tasks are as many whole rows as make about a thousand values, so that they stay in the first-level cache: the rows, less their maxima, are
written to where the result goes; then all exponentials are taken at once, along the vectors, however short a row is; then
come the sums, row by row.
"""
from libc.math cimport NAN, log
from libc.stdint cimport int64_t

from tinygradconv.kernels.softmax import reference

include "common.pxi"
include "numbers.pxi"
include "transcendental.pxi"

cdef enum:
    BLOCK = 1024                # values of a task, or of the pieces of a longer row
    SOFTMAX, LOG_SOFTMAX, SOFTMAX_BACKWARD, LOG_SOFTMAX_BACKWARD

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


cdef struct Loss:
    # reference.cross_entropy's numbers: what the target class and every class count for, the label to leave out, the gradient's factor.
    double target, every, factor
    int64_t ignore
    Py_ssize_t C


def cross_entropy(const floating[:, ::1] logits, const int64_t[::1] labels, const floating[::1] weights, floating[::1] losses,
                  floating[:, ::1] gradient, double smoothing, int64_t ignore, int reduction):
    """reference.cross_entropy. One task per block of rows; the losses are added in order."""
    cdef Py_ssize_t task, m, rows, M = logits.shape[0]
    cdef Loss form = Loss(1 - smoothing, smoothing / logits.shape[1], 1, ignore, logits.shape[1])
    cdef const floating* weight = NULL
    cdef double share = 0, total = 0
    if M == 0:
        if reduction != 0:
            losses[0] = <floating>(NAN if reduction == 2 else 0.0)
        return
    if weights is not None:
        weight = &weights[0]
    for m in range(M):
        if labels[m] != ignore:
            share += 1 if weight == NULL else weight[labels[m]]
    if reduction == 2:
        form.factor = 1 / share
    cdef double* each = <double*>malloc(M * sizeof(double))
    if each == NULL:
        raise MemoryError(f"cross_entropy: no memory for {M} losses")
    rows = max(1, BLOCK // form.C)
    for task in prange((M + rows - 1) // rows, nogil=True, schedule="static", num_threads=threads_for(8 * M * form.C)):
        cross_entropy_rows(&logits[0, 0], &labels[0], weight, each, &gradient[0, 0], task * rows, min(M, (task + 1) * rows), &form)
    for m in range(M):
        total += each[m]
        if reduction == 0:
            losses[m] = <floating>each[m]
    if reduction != 0:
        losses[0] = <floating>(total / share if reduction == 2 else total)
    free(each)


cdef void cross_entropy_rows(const floating* logits, const int64_t* labels, const floating* weights, double* losses, floating* gradient,
                             Py_ssize_t start, Py_ssize_t end, const Loss* form) noexcept nogil:
    """Rows start … end − 1. Each loss is first the sum of q · w · (x − max) and then has Σ q · w · log Σ e^(x − max) taken from it."""
    cdef Py_ssize_t m, c, C = form.C
    cdef floating* row
    cdef double sums, everything = 0
    if form.every != 0:
        for c in range(C):
            everything += 1 if weights == NULL else weights[c]
    below_maximum(logits, gradient, start, end, C)
    for m in range(start, end):
        row = gradient + m * C
        losses[m] = 0
        if labels[m] != form.ignore:
            losses[m] = form.target * row[labels[m]] * (1 if weights == NULL else weights[labels[m]])
            if form.every != 0:
                sums = 0
                for c in range(C):
                    sums += row[c] if weights == NULL else row[c] * weights[c]
                losses[m] += form.every * sums
    exponentials(gradient + start * C, (end - start) * C)
    for m in range(start, end):
        losses[m] = finished_row(gradient + m * C, labels[m], weights, losses[m], everything, form)


cdef double finished_row(floating* row, int64_t label, const floating* weights, double loss, double everything,
                         const Loss* form) noexcept nogil:
    """The loss of one row, whose exponentials become its gradient: factor · (Σ q·w · softmax − q·w), or 0 where it is left out."""
    cdef Py_ssize_t c
    cdef double target, amount, total
    cdef floating share, even = <floating>(form.factor * form.every)
    if label == form.ignore:
        memset(row, 0, form.C * sizeof(floating))
        return 0
    target = form.target * (1 if weights == NULL else weights[label])
    amount = target + form.every * everything
    total = sum_of(row, form.C)
    share = <floating>(form.factor * amount / total)
    if weights == NULL or form.every == 0:
        for c in range(form.C):
            row[c] = row[c] * share - even
    else:
        for c in range(form.C):
            row[c] = row[c] * share - even * weights[c]
    row[label] -= <floating>(form.factor * target)
    return amount * log(total) - loss


# ---- rows

cdef void below_maximum(const floating* x, floating* y, Py_ssize_t start, Py_ssize_t end, Py_ssize_t C) noexcept nogil:
    """y = x − the largest of its row, for rows start … end − 1. A NaN need not be found here: it comes out of the exponentials."""
    cdef Py_ssize_t m, c
    cdef floating top
    for m in range(start, end):
        top = x[m * C]
        for c in range(1, C):
            top = x[m * C + c] if x[m * C + c] > top else top
        for c in range(C):
            y[m * C + c] = x[m * C + c] - top


cdef void exponentials(floating* y, Py_ssize_t count) noexcept nogil:
    """y = e^y in place: whole vectors, then what is left as one vector more."""
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), done = count // lanes * lanes, i
    cdef floating rest[TGC_BYTES]
    if floating is float:
        exponential_vectors(<vector_float*>y, count // lanes)
    else:
        exponential_vectors(<vector_double*>y, count // lanes)
    if done < count:
        for i in range(lanes):
            rest[i] = y[done + i] if done + i < count else 0
        if floating is float:
            exponential_vectors(<vector_float*>rest, 1)
        else:
            exponential_vectors(<vector_double*>rest, 1)
        for i in range(done, count):
            y[i] = rest[i - done]


cdef void exponential_vectors(vector* y, Py_ssize_t count) noexcept nogil:
    """y = e^y, vector by vector."""
    cdef Py_ssize_t i
    for i in range(count):
        y[i] = vector_exp(y[i])


cdef inline double sum_of(const floating* y, Py_ssize_t count) noexcept nogil:
    """Σ y, piece by piece; the pieces' sums are carried on in double, so that the error does not grow with the length of a row."""
    cdef Py_ssize_t at = BLOCK
    cdef double total = sum_of_piece(y, min(count, at))
    while at < count:
        total += sum_of_piece(y + at, min(count - at, <Py_ssize_t>BLOCK))
        at += BLOCK
    return total


cdef inline double sum_of_products(const floating* a, const floating* b, Py_ssize_t count) noexcept nogil:
    """Σ a · b in double, as eight running sums side by side, whatever the instruction set."""
    cdef double part[8]
    cdef Py_ssize_t i = 0, j
    for j in range(8):
        part[j] = 0
    while i + 8 <= count:
        for j in range(8):
            part[j] += <double>a[i + j] * b[i + j]
        i += 8
    for j in range(count - i):
        part[j] += <double>a[i + j] * b[i + j]
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))


cdef inline floating sum_of_piece(const floating* y, Py_ssize_t count) noexcept nogil:
    """Σ y: eight running sums side by side while there are eight values, whatever the instruction set, so that all give the same bits."""
    cdef floating part[8]
    cdef Py_ssize_t i, j
    for j in range(8):
        part[j] = 0
    i = 0
    while i + 8 <= count:
        for j in range(8):
            part[j] += y[i + j]
        i += 8
    for j in range(count - i):
        part[j] += y[i + j]
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))
