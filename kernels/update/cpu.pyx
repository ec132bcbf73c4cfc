# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Optimiser steps on the CPU: all parameters in one call, one pass over each array.

Tasks are runs of 4,096 values of one array, numbered through all arrays; every value stands alone, so threads change no bit.
"""
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport pow, sqrt, sqrtf

include "common.pxi"

cdef enum:
    RUN = 4096


cdef struct Parameter:
    # Where a parameter's gradient, what is remembered of it and its values lie; `tasks` counts those of it and of all before it.
    void* g
    void* first
    void* second
    void* p
    Py_ssize_t size, tasks


cdef void* address_of(object array, int access, char kind, Py_ssize_t* size) except? NULL:
    """Where a contiguous array of `kind` ("f" or "d") begins; `access` is 0, or PyBUF_WRITABLE for one that changes in place.

    It must have `size` values, or any number, to be noted, where that is −1.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, access | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    cdef Py_ssize_t count = view.len // view.itemsize
    cdef bint fits = view.format[0] == kind and (size[0] == count or size[0] < 0)
    PyBuffer_Release(&view)                    # the caller holds the array, so its memory stays where it is
    if not fits:
        raise ValueError(f"an optimiser's step: got an array of {count} {array.dtype} where the parameters are {chr(kind)!r}, "
                         f"this one of {size[0]} values")
    size[0] = count
    return view.buf


cdef Parameter* table_of(tuple g, tuple first, tuple second, tuple p, char kind, Py_ssize_t* size) except NULL:
    """The addresses of all arrays, to be freed, how they are cut into tasks, and how many values there are. () has no addresses."""
    cdef Py_ssize_t i, tasks = 0
    cdef Parameter* row
    cdef Parameter* table = <Parameter*>malloc(max(1, len(p)) * sizeof(Parameter))
    if table == NULL:
        raise MemoryError("an optimiser's step: no memory for the addresses of its arrays")
    size[0] = 0
    try:
        for i in range(len(p)):
            row = table + i
            row.size = -1
            row.p = address_of(p[i], PyBUF_WRITABLE, kind, &row.size)
            row.g = address_of(g[i], 0, kind, &row.size)
            row.first = address_of(first[i], PyBUF_WRITABLE, kind, &row.size) if first else NULL
            row.second = address_of(second[i], PyBUF_WRITABLE, kind, &row.size) if second else NULL
            tasks += (row.size + RUN - 1) // RUN
            row.tasks = tasks
            size[0] += row.size
    except BaseException:
        free(table)
        raise
    return table


cdef const Parameter* parameter_of(const Parameter* table, Py_ssize_t task, Py_ssize_t* start, Py_ssize_t* end) noexcept nogil:
    """Whose values a task works on, and which of them: start … end − 1."""
    cdef Py_ssize_t before = 0
    while table.tasks <= task:
        before = table.tasks
        table += 1
    start[0] = (task - before) * RUN
    end[0] = min(table.size, start[0] + RUN)
    return table


cdef struct Momentum:
    double rate, momentum, decay
    bint nesterov


cdef struct Moments:
    # The step's numbers, worked out once in double: what p is multiplied by, and what of it joins the gradient.
    double keep, pull, beta1, beta2, rate, root, epsilon


ctypedef fused Form:
    Momentum
    Moments


def sgd(tuple g, tuple velocity, tuple p, double rate, double momentum, double decay, bint nesterov):
    """reference.sgd. One task per run of values."""
    cdef Momentum form = Momentum(rate, momentum, decay, nesterov)
    step_all(g, velocity if momentum else (), (), p, &form)


def adam(tuple g, tuple first, tuple second, tuple p, double rate, double beta1, double beta2, double epsilon, double decay, long long step,
         bint decoupled):
    """reference.adam. One task per run of values."""
    cdef Moments form
    form.keep = 1 - rate * decay if decoupled else 1.0
    form.pull = 0.0 if decoupled else decay
    form.beta1, form.beta2, form.epsilon = beta1, beta2, epsilon
    form.rate, form.root = rate / (1 - pow(beta1, step)), 1 / sqrt(1 - pow(beta2, step))
    step_all(g, first, second, p, &form)


cdef step_all(tuple g, tuple first, tuple second, tuple p, const Form* form):
    """One step of all parameters; the form says of which optimiser."""
    if not p:
        return
    cdef bint single = p[0].dtype.char == "f"
    cdef Py_ssize_t task, size
    cdef Parameter* table = table_of(g, first, second, p, b"f" if single else b"d", &size)
    cdef Py_ssize_t tasks = table[len(p) - 1].tasks
    for task in prange(tasks, nogil=True, schedule="static", num_threads=threads_for(size)):
        step_run(table, task, form, single)
    free(table)


cdef void step_run(const Parameter* table, Py_ssize_t task, const Form* form, bint single) noexcept nogil:
    """One run of one parameter's values."""
    cdef Py_ssize_t start, end
    cdef const Parameter* row = parameter_of(table, task, &start, &end)
    if Form is Momentum:
        if single:
            sgd_run(<const float*>row.g, <float*>row.first, <float*>row.p, start, end, form)
        else:
            sgd_run(<const double*>row.g, <double*>row.first, <double*>row.p, start, end, form)
    elif single:
        adam_run(<const float*>row.g, <float*>row.first, <float*>row.second, <float*>row.p, start, end, form)
    else:
        adam_run(<const double*>row.g, <double*>row.first, <double*>row.second, <double*>row.p, start, end, form)


cdef void sgd_run(const floating* g, floating* velocity, floating* p, Py_ssize_t start, Py_ssize_t end,
                  const Momentum* form) noexcept nogil:
    """Values start … end − 1; the three forms are three loops, so that each is free of branches. velocity is NULL without momentum."""
    cdef Py_ssize_t i
    cdef floating d, v, rate = <floating>form.rate, momentum = <floating>form.momentum, decay = <floating>form.decay
    if velocity == NULL:
        for i in range(start, end):
            p[i] -= rate * (g[i] + decay * p[i])
    elif form.nesterov:
        for i in range(start, end):
            d = g[i] + decay * p[i]
            v = momentum * velocity[i] + d
            velocity[i] = v
            p[i] -= rate * (d + momentum * v)
    else:
        for i in range(start, end):
            v = momentum * velocity[i] + (g[i] + decay * p[i])
            velocity[i] = v
            p[i] -= rate * v


cdef void adam_run(const floating* g, floating* first, floating* second, floating* p, Py_ssize_t start, Py_ssize_t end,
                   const Moments* form) noexcept nogil:
    """Values start … end − 1. Square root and division bound the loop; the constants stay in registers."""
    cdef Py_ssize_t i
    cdef floating d, m, v, value, keep = <floating>form.keep, pull = <floating>form.pull, rate = <floating>form.rate
    cdef floating beta1 = <floating>form.beta1, beta2 = <floating>form.beta2, rest1 = <floating>(1 - form.beta1)
    cdef floating rest2 = <floating>(1 - form.beta2), root = <floating>form.root, epsilon = <floating>form.epsilon
    for i in range(start, end):
        value = keep * p[i]
        d = g[i] + pull * value
        m = beta1 * first[i] + rest1 * d
        v = beta2 * second[i] + rest2 * d * d
        first[i] = m
        second[i] = v
        if floating is float:
            p[i] = value - rate * m / (sqrtf(v) * root + epsilon)
        else:
            p[i] = value - rate * m / (sqrt(v) * root + epsilon)
