# The cross-entropy loss of rows of logits, with its gradient: a softmax whose logarithm is read at the label.

from libc.math cimport NAN
from libc.stdint cimport int64_t

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
