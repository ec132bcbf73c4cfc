# The cross-entropy loss of rows of logits, with its gradient: a softmax whose logarithm is read at the label.

from libc.stdint cimport int64_t

cdef struct Loss:
    # reference.cross_entropy's numbers: what the target class and every class count for, the label to leave out, the gradient's factor.
    double target, every, factor
    int64_t ignore
    Py_ssize_t C


cdef object LABELS = np.dtype(np.int64)


def cross_entropy(logits, labels, weights, losses, gradient, double smoothing, int64_t ignore, int reduction):
    """reference.cross_entropy. One task per block of rows; the losses are added in order."""
    cdef int kind = floating_kind(logits)
    if kind == OTHER:
        reference.cross_entropy(logits, labels, weights, losses, gradient, smoothing, ignore, reduction)
        return
    cdef Py_ssize_t M = length_of(logits, 0, 2), C = length_of(logits, 1, 2)
    cdef Loss form = Loss(1 - smoothing, smoothing / C, 1, ignore, C)
    cdef void* given = numbers_of(logits, kind, M * C)
    cdef void* weight = NULL if weights is None else numbers_of(weights, kind, C)
    cdef void* filled = numbers_of(losses, kind, 1 if reduction else M)
    cdef void* slope = numbers_of(gradient, kind, M * C)
    if length_of(labels, 0, 1) != M or not (<ndarray>labels).flags.c_contiguous or dtype_of(labels) != LABELS:
        raise ValueError(f"cross_entropy: labels must be {M} int64 in a row, got {labels.dtype} {labels.shape}")
    cdef int64_t* label = <int64_t*>(<ndarray>labels).address
    cdef double* each = <double*>malloc((M + 1) * sizeof(double))
    if each == NULL:
        raise MemoryError(f"cross_entropy: no memory for {M} losses")
    with nogil:
        if kind == SINGLE:
            all_losses(<float*>given, label, <float*>weight, each, <float*>filled, <float*>slope, M, &form, reduction)
        else:
            all_losses(<double*>given, label, <double*>weight, each, <double*>filled, <double*>slope, M, &form, reduction)
    free(each)


cdef void all_losses(const floating* logits, const int64_t* labels, const floating* weights, double* each, floating* losses,
                     floating* gradient, Py_ssize_t M, Loss* form, int reduction) noexcept nogil:
    """Each loss, and what `reduction` makes of them."""
    cdef Py_ssize_t m, task, rows = max(1, BLOCK // form.C), tasks = (M + rows - 1) // rows
    cdef double share = 0, total = 0
    for m in range(M):
        if labels[m] != form.ignore:
            share += 1 if weights == NULL else weights[labels[m]]
    if reduction == 2:
        form.factor = 1 / share
    if threads_for(8 * M * form.C) == 1:           # without the price of entering a parallel region
        for task in range(tasks):
            cross_entropy_rows(logits, labels, weights, each, gradient, task * rows, min(M, (task + 1) * rows), form)
    else:
        for task in prange(tasks, schedule="static", num_threads=threads_for(8 * M * form.C)):
            cross_entropy_rows(logits, labels, weights, each, gradient, task * rows, min(M, (task + 1) * rows), form)
    for m in range(M):
        total += each[m]
        if reduction == 0:
            losses[m] = <floating>each[m]
    if reduction != 0:                             # the mean of nothing is 0 / 0, which is NaN
        losses[0] = <floating>(total / share if reduction == 2 else total)


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
