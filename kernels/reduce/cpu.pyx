# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sums, products and extremes on the CPU, and the ways back: float32 and float64, contiguous, over axes that lie side by side.

Every other reduction is the NumPy definition. Such a one runs over the middle of x (A, R, B). Columns are reduced side by side, and so that
short rows fill vectors too (with B = 1 they are single values) several are read as one *wide* row. Sums run in the arrays' own type over
the 64 wide rows of a block and are carried on in double, as are the few rows that no wide row holds; products and extremes alike. Blocks
depend on the shape alone and are joined in order.
"""
from libc.math cimport INFINITY

from tinygradconv.kernels.reduce import reference

include "common.pxi"
include "numbers.pxi"

ctypedef fused number:
    float
    double

cdef enum:
    LINE = 512                  # columns, or columns of a wide row, that are reduced side by side
    ROWS = 64                   # wide rows of a block
    SUM, PROD, MAX, MIN

cdef dict OPS = {"sum": SUM, "mean": SUM, "prod": PROD, "max": MAX, "min": MIN}

check_layout()


def reduce(x, y, op, axes):
    """reference.reduce. One task per block."""
    number = OPS.get(op)
    if number is None or not reduced(number, x, y, axes, op == "mean"):
        reference.reduce(x, y, op, axes)


def arg_reduce(x, y, op, axis):
    """reference.arg_reduce."""
    reference.arg_reduce(x, y, op, axis)


def cumulative_sum(x, y, axis, reverse):
    """reference.cumulative_sum."""
    reference.cumulative_sum(x, y, axis, reverse)


cdef struct Form:
    # x (A, R, B); `rows` rows of B columns are one block, `wide` of them one wide row; a task is one strip of columns of one block.
    Py_ssize_t A, R, B, wide, rows, blocks, strips
    double divisor              # of the results: R for a mean, else 1


cdef bint middle(ndarray x, tuple axes, Py_ssize_t* A, Py_ssize_t* R, Py_ssize_t* B) except -1:
    """x as (A, R, B), R running over `axes`; False where these are none, do not lie side by side or are not in order."""
    cdef Py_ssize_t axis, before = -2, first = 0
    A[0], R[0], B[0] = 1, 1, 1
    for each in axes:
        axis = each
        if before == -2:
            first = axis
        elif axis != before + 1:
            return False
        before = axis
    if before == -2:
        return False
    for axis in range(x.axes):
        if axis < first:
            A[0] *= x.lengths[axis]
        elif axis <= before:
            R[0] *= x.lengths[axis]
        else:
            B[0] *= x.lengths[axis]
    return True


cdef bint reduced(int op, object x, object y, tuple axes, bint mean) except -1:
    """y = op over `axes` of x, by the number of values for a `mean`; False, and nothing is done, where they do not lie as needed."""
    cdef Py_ssize_t task, tasks
    cdef Form form
    cdef int kind = floating_kind(y)
    if kind == OTHER or not contiguous(x, kind) or not contiguous(y, kind) or not middle(x, axes, &form.A, &form.R, &form.B):
        return False
    if form.A * form.R * form.B == 0:
        return False
    form.wide = max(1, LINE // form.B)
    form.rows = form.wide * ROWS
    form.blocks = (form.R + form.rows - 1) // form.rows
    form.strips = (form.B + LINE - 1) // LINE
    form.divisor = form.R if mean else 1
    tasks = form.A * form.blocks * form.strips
    cdef void* source = numbers_of(x, kind, form.A * form.R * form.B)
    cdef void* target = numbers_of(y, kind, form.A * form.B)
    cdef double* partial = <double*>malloc(form.A * form.blocks * form.B * sizeof(double))
    if partial == NULL:
        raise MemoryError(f"reduce: no memory for {form.A * form.blocks * form.B} partial results")
    if threads_for(form.A * form.R * form.B) == 1:          # without the price of entering a parallel region
        for task in range(tasks):
            one_task(op, source, partial, task, &form, kind == SINGLE)
    else:
        for task in prange(tasks, nogil=True, schedule="static", num_threads=threads_for(form.A * form.R * form.B)):
            one_task(op, source, partial, task, &form, kind == SINGLE)
    join_blocks(op, partial, target, &form, kind == SINGLE)
    free(partial)
    return True


cdef void one_task(int op, const void* x, double* partial, Py_ssize_t task, const Form* form, bint single) noexcept nogil:
    """One strip of one block; tasks run through the strips first, then the blocks, then A."""
    cdef Py_ssize_t strip = task % form.strips, block = task // form.strips % form.blocks, a = task // form.strips // form.blocks
    cdef Py_ssize_t at = (a * form.R + block * form.rows) * form.B + strip * LINE
    cdef Py_ssize_t rows = min(form.rows, form.R - block * form.rows), columns = min(<Py_ssize_t>LINE, form.B - strip * LINE)
    partial += (a * form.blocks + block) * form.B + strip * LINE
    if single:
        strip_of(op, <const float*>x + at, partial, rows, columns, form)
    else:
        strip_of(op, <const double*>x + at, partial, rows, columns, form)


cdef void strip_of(int op, const floating* x, double* partial, Py_ssize_t rows, Py_ssize_t columns, const Form* form) noexcept nogil:
    """A loop of its own for each op."""
    if op == SUM:
        reduce_strip(SUM, x, partial, rows, columns, form)
    elif op == PROD:
        reduce_strip(PROD, x, partial, rows, columns, form)
    elif op == MAX:
        reduce_strip(MAX, x, partial, rows, columns, form)
    else:
        reduce_strip(MIN, x, partial, rows, columns, form)


cdef inline number joined(const int op, number a, number b) noexcept nogil:
    """op of two numbers; NaN in either is an extreme. No `or`: a branch would end the vectors."""
    if op == SUM:
        return a + b
    if op == PROD:
        return a * b
    if op == MAX:
        return a if (a > b) | (a != a) else b
    return a if (a < b) | (a != a) else b


cdef inline double beginning(const int op) noexcept nogil:
    """What changes nothing."""
    return 0 if op == SUM else 1 if op == PROD else -INFINITY if op == MAX else INFINITY


cdef inline void reduce_strip(const int op, const floating* x, double* partial, Py_ssize_t rows, Py_ssize_t columns,
                              const Form* form) noexcept nogil:
    """partial[j] = op of x[i, j] over the rows of one block. There are several strips only where a wide row is one row."""
    cdef floating line[LINE]
    cdef Py_ssize_t width = columns * form.wide, stride = form.B * form.wide, wide = rows // form.wide, i, j, c = 0
    for j in range(columns):
        partial[j] = beginning(op)
    if wide > 0:
        for j in range(width):
            line[j] = <floating>beginning(op)
        for i in range(wide):
            for j in range(width):
                line[j] = joined(op, line[j], x[i * stride + j])
        for j in range(width):
            partial[c] = joined(op, partial[c], <double>line[j])
            c = c + 1 if c + 1 < columns else 0
    if form.B == 1:
        partial[0] = joined(op, partial[0], reduce_values(op, x + wide * form.wide, rows - wide * form.wide))
        return
    for i in range(wide * form.wide, rows):
        for j in range(columns):
            partial[j] = joined(op, partial[j], <double>x[i * form.B + j])


cdef inline double reduce_values(const int op, const floating* x, Py_ssize_t count) noexcept nogil:
    """op of x in eight running results, which are vectors, where one would wait for every step."""
    cdef double part[8]
    cdef Py_ssize_t i, j
    for j in range(8):
        part[j] = beginning(op)
    for i in range(count // 8):
        for j in range(8):
            part[j] = joined(op, part[j], <double>x[8 * i + j])
    for j in range(count % 8):
        part[j] = joined(op, part[j], <double>x[count - count % 8 + j])
    for i in range(4):
        part[i] = joined(op, part[i], part[i + 4])
    return joined(op, joined(op, part[0], part[2]), joined(op, part[1], part[3]))


cdef void join_blocks(int op, double* partial, void* y, const Form* form, bint single) noexcept nogil:
    """y[a, j] = the blocks' results, joined in order, rounded, and then divided."""
    cdef Py_ssize_t a, block, j
    cdef double* total
    for a in range(form.A):
        total = partial + a * form.blocks * form.B
        for block in range(1, form.blocks):
            for j in range(form.B):
                total[j] = joined(op, total[j], total[block * form.B + j])
        for j in range(form.B):
            if single:
                (<float*>y)[a * form.B + j] = <float>total[j] / <float>form.divisor
            else:
                (<double*>y)[a * form.B + j] = total[j] / form.divisor


include "reduce/backward.pxi"
