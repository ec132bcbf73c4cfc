# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sums on the CPU: float32 and float64, contiguous, over axes that lie side by side. Every other reduction is the NumPy definition.

Such a sum is one over the middle of x (A, R, B). Columns are added side by side, and so that short rows fill vectors too (with B = 1
they are single values) several are read as one *wide* row. Sums run in the arrays' own type over the 64 wide rows of a block and
are carried on in double, as are the few rows that no wide row holds. Blocks depend on the shape alone and are added in order.
"""
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer

from tinygradconv.kernels.reduce import reference

include "common.pxi"
include "dtype.pxi"

cdef enum:
    LINE = 512                  # columns, or columns of a wide row, that are added side by side
    ROWS = 64                   # wide rows of a block


def reduce(x, y, op, axes):
    """reference.reduce. One task per block."""
    cdef int kind = kind_of(x.dtype)
    if op != "sum" or kind == OTHER or kind_of(y.dtype) != kind or not summed(x, y, axes, kind == SINGLE):
        reference.reduce(x, y, op, axes)


def arg_reduce(x, y, op, axis):
    """reference.arg_reduce."""
    reference.arg_reduce(x, y, op, axis)


def cumulative_sum(x, y, axis, reverse):
    """reference.cumulative_sum."""
    reference.cumulative_sum(x, y, axis, reverse)


cdef struct Sum:
    # x (A, R, B); `rows` rows of B columns are one block, `wide` of them one wide row; a task is one strip of columns of one block.
    Py_ssize_t A, R, B, wide, rows, blocks, strips


cdef bint summed(object x, object y, tuple axes, bint single) except -1:
    """y = Σ x over `axes`; False, and nothing is done, where x is not contiguous or they are not side by side."""
    cdef Py_ssize_t first, last, i, task, tasks
    cdef Sum form
    cdef tuple shape = x.shape
    if not axes or not x.flags.c_contiguous or not y.flags.c_contiguous:
        return False
    first, last = min(axes), max(axes)
    if last - first + 1 != len(axes):
        return False
    form.A, form.R, form.B = 1, 1, 1
    for i in range(len(shape)):
        if i < first:
            form.A *= shape[i]
        elif i <= last:
            form.R *= shape[i]
        else:
            form.B *= shape[i]
    if form.A * form.R * form.B == 0:
        return False
    form.wide = max(1, LINE // form.B)
    form.rows = form.wide * ROWS
    form.blocks = (form.R + form.rows - 1) // form.rows
    form.strips = (form.B + LINE - 1) // LINE
    tasks = form.A * form.blocks * form.strips
    cdef Py_buffer source, target
    cdef double* sums = <double*>malloc(form.A * form.blocks * form.B * sizeof(double))
    if sums == NULL:
        raise MemoryError(f"sum: no memory for {form.A * form.blocks * form.B} partial sums")
    PyObject_GetBuffer(x, &source, PyBUF_C_CONTIGUOUS)
    PyObject_GetBuffer(y, &target, PyBUF_C_CONTIGUOUS)
    if threads_for(form.A * form.R * form.B) == 1:          # without the price of entering a parallel region
        for task in range(tasks):
            sum_task(source.buf, sums, task, &form, single)
    else:
        for task in prange(tasks, nogil=True, schedule="static", num_threads=threads_for(form.A * form.R * form.B)):
            sum_task(source.buf, sums, task, &form, single)
    add_blocks(sums, target.buf, &form, single)
    PyBuffer_Release(&source)
    PyBuffer_Release(&target)
    free(sums)
    return True


cdef void sum_task(const void* x, double* sums, Py_ssize_t task, const Sum* form, bint single) noexcept nogil:
    """One strip of one block; tasks run through the strips first, then the blocks, then A."""
    cdef Py_ssize_t strip = task % form.strips, block = task // form.strips % form.blocks, a = task // form.strips // form.blocks
    cdef Py_ssize_t at = (a * form.R + block * form.rows) * form.B + strip * LINE
    cdef Py_ssize_t rows = min(form.rows, form.R - block * form.rows)
    sums += (a * form.blocks + block) * form.B + strip * LINE
    if single:
        sum_strip(<const float*>x + at, sums, rows, min(<Py_ssize_t>LINE, form.B - strip * LINE), form)
    else:
        sum_strip(<const double*>x + at, sums, rows, min(<Py_ssize_t>LINE, form.B - strip * LINE), form)


cdef void sum_strip(const floating* x, double* sums, Py_ssize_t rows, Py_ssize_t columns, const Sum* form) noexcept nogil:
    """sums[j] = Σ x[i, j] over the rows of one block. There are several strips only where a wide row is one row."""
    cdef floating line[LINE]
    cdef Py_ssize_t width = columns * form.wide, stride = form.B * form.wide, wide = rows // form.wide, i, j, c = 0
    for j in range(columns):
        sums[j] = 0
    if wide > 0:
        for j in range(width):
            line[j] = 0
        for i in range(wide):
            for j in range(width):
                line[j] += x[i * stride + j]
        for j in range(width):
            sums[c] += line[j]
            c = c + 1 if c + 1 < columns else 0
    if form.B == 1:
        sums[0] += sum_of_values(x + wide * form.wide, rows - wide * form.wide)
        return
    for i in range(wide * form.wide, rows):
        for j in range(columns):
            sums[j] += x[i * form.B + j]


cdef double sum_of_values(const floating* x, Py_ssize_t count) noexcept nogil:
    """Σ x in eight running sums, which are vectors, where one would wait for every addition."""
    cdef double part[8]
    cdef Py_ssize_t i, j
    for j in range(8):
        part[j] = 0
    for i in range(count // 8):
        for j in range(8):
            part[j] += x[8 * i + j]
    for j in range(count % 8):
        part[j] += x[count - count % 8 + j]
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))


cdef void add_blocks(double* sums, void* y, const Sum* form, bint single) noexcept nogil:
    """y[a, j] = the blocks' sums, added in order."""
    cdef Py_ssize_t a, block, j
    cdef double* total
    for a in range(form.A):
        total = sums + a * form.blocks * form.B
        for block in range(1, form.blocks):
            for j in range(form.B):
                total[j] += total[block * form.B + j]
        for j in range(form.B):
            if single:
                (<float*>y)[a * form.B + j] = <float>total[j]
            else:
                (<double*>y)[a * form.B + j] = total[j]
