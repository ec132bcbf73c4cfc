# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Optimiser steps on the CPU: one pass over each array. Tasks are runs of 4,096 values; every value stands alone."""
from libc.math cimport pow, sqrt, sqrtf

include "common.pxi"

cdef enum:
    RUN = 4096


def sgd(const floating[::1] g, floating[::1] velocity, floating[::1] p, double rate, double momentum, double decay, bint nesterov):
    """reference.sgd. One task per run of values."""
    cdef Py_ssize_t task, size = p.shape[0]
    cdef floating* moving = NULL
    if size == 0:
        return
    if momentum != 0:
        moving = &velocity[0]
    for task in prange((size + RUN - 1) // RUN, nogil=True, schedule="static", num_threads=threads_for(size)):
        sgd_run(&g[0], moving, &p[0], task * RUN, min(size, (task + 1) * RUN), <floating>rate, <floating>momentum, <floating>decay,
                nesterov)


cdef void sgd_run(const floating* g, floating* velocity, floating* p, Py_ssize_t start, Py_ssize_t end, floating rate, floating momentum,
                  floating decay, bint nesterov) noexcept nogil:
    """Values start … end − 1; the three forms are three loops, so that each is free of branches. velocity is NULL without momentum."""
    cdef Py_ssize_t i
    cdef floating d, v
    if velocity == NULL:
        for i in range(start, end):
            p[i] -= rate * (g[i] + decay * p[i])
    elif nesterov:
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


cdef struct Adam:
    # The step's numbers, worked out once in double: what p is multiplied by, and what of it joins the gradient.
    double keep, pull, beta1, beta2, rate, root, epsilon


def adam(const floating[::1] g, floating[::1] first, floating[::1] second, floating[::1] p, double rate, double beta1, double beta2,
         double epsilon, double decay, long long step, bint decoupled):
    """reference.adam. One task per run of values."""
    cdef Py_ssize_t task, size = p.shape[0]
    cdef Adam form
    if size == 0:
        return
    form.keep = 1 - rate * decay if decoupled else 1.0
    form.pull = 0.0 if decoupled else decay
    form.beta1, form.beta2, form.epsilon = beta1, beta2, epsilon
    form.rate, form.root = rate / (1 - pow(beta1, step)), 1 / sqrt(1 - pow(beta2, step))
    for task in prange((size + RUN - 1) // RUN, nogil=True, schedule="static", num_threads=threads_for(size)):
        adam_run(&g[0], &first[0], &second[0], &p[0], task * RUN, min(size, (task + 1) * RUN), &form)


cdef void adam_run(const floating* g, floating* first, floating* second, floating* p, Py_ssize_t start, Py_ssize_t end,
                   const Adam* form) noexcept nogil:
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
