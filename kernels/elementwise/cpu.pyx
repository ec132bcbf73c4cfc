# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Values one by one on the CPU: one pass over memory, whatever is broadcast.

Floating arrays of one dtype that lie contiguous go through here, of any size; everything else (integers, bool, views with other strides,
functions that are not listed) is left to the NumPy definition. Copies are NumPy's too, but for small ones (copy.pxi).

A task is a run of 16,384 values of y, worked in blocks that stay in the first-level cache. Operands that are broadcast are laid out over
a block in a small buffer, so that there is one loop for each operation (vectors.pxi) and it always meets whole lines.
"""
from tinygradconv.kernels.elementwise import reference

include "common.pxi"
include "numbers.pxi"
include "transcendental.pxi"
include "slope.pxi"
include "elementwise/vectors.pxi"
include "elementwise/slopes.pxi"
include "elementwise/operand.pxi"
include "elementwise/copy.pxi"

cdef dict UNARY_NUMBERS = {"negative": NEGATIVE, "abs": ABS, "square": SQUARE, "exp": EXP, "tanh": TANH, "sigmoid": SIGMOID, "relu": RELU,
                           "nothing": NOTHING}
cdef dict BINARY_NUMBERS = {"add": ADD, "subtract": SUBTRACT, "multiply": MULTIPLY, "divide": DIVIDE, "maximum": MAXIMUM,
                            "minimum": MINIMUM, "gate": GATE, "tanh_slope": TANH_SLOPE, "sigmoid_slope": SIGMOID_SLOPE, "pow": POWER,
                            "abs_slope": ABS_SLOPE, "square_slope": SQUARE_SLOPE, "expm1_slope": EXPM1_SLOPE, "log1p_slope": LOG1P_SLOPE,
                            "sqrt_slope": SQRT_SLOPE, "sin_slope": SIN_SLOPE, "cos_slope": COS_SLOPE, "tan_slope": TAN_SLOPE,
                            "sinh_slope": SINH_SLOPE, "cosh_slope": COSH_SLOPE, "silu_slope": SILU_SLOPE, "erf_slope": ERF_SLOPE,
                            "softplus_slope": SOFTPLUS_SLOPE, "normal_slope": NORMAL_SLOPE}
cdef dict TERNARY_NUMBERS = {"divide_slope": DIVIDE_SLOPE, "maximum_slope": MAXIMUM_SLOPE, "power_slope": POWER_SLOPE,
                             "exponent_slope": EXPONENT_SLOPE, "clip": CLIP, "clip_slope": CLIP_SLOPE,
                             "scaled_difference": SCALED_DIFFERENCE}

cdef object BOOL = np.dtype(np.bool_)

cdef enum:
    RUN = 16384

check_layout()


def unary(x, y, op):
    """reference.unary. One task per run of values."""
    cdef int kind = kind_of(dtype_of(y))
    number = UNARY_NUMBERS.get(op)
    if number is None or kind == OTHER or kind_of(dtype_of(x)) != kind or not mapped(number, x, None, None, y, kind == SINGLE):
        reference.unary(x, y, op)


def binary(a, b, y, op):
    """reference.binary. One task per run of values."""
    cdef int kind = kind_of(dtype_of(y))
    number = BINARY_NUMBERS.get(op)
    if (number is None or kind == OTHER or kind_of(dtype_of(a)) != kind or kind_of(dtype_of(b)) != kind
            or not mapped(number, a, b, None, y, kind == SINGLE)):
        reference.binary(a, b, y, op)


def ternary(a, b, c, y, op):
    """reference.ternary. One task per run of values."""
    cdef int kind = kind_of(dtype_of(y))
    number = TERNARY_NUMBERS.get(op)
    if (number is None or kind == OTHER or kind_of(dtype_of(a)) != kind or kind_of(dtype_of(b)) != kind or kind_of(dtype_of(c)) != kind
            or not mapped(number, a, b, c, y, kind == SINGLE)):
        reference.ternary(a, b, c, y, op)


def where(condition, a, b, y):
    """reference.where. One task per run of values."""
    cdef int kind = kind_of(dtype_of(y))
    if (kind == OTHER or dtype_of(condition) is not BOOL or kind_of(dtype_of(a)) != kind or kind_of(dtype_of(b)) != kind
            or not chosen(condition, a, b, y, kind == SINGLE)):
        reference.where(condition, a, b, y)


def copy(x, y):
    """reference.copy. One thread."""
    if not few_copied(x, y):
        reference.copy(x, y)


cdef bint mapped(int op, object a, object b, object c, object y, bint single) except -1:
    """y = op(a), op(a, b) or op(a, b, c), for arrays of one dtype; False, with nothing done, where one does not lie as needed."""
    cdef Operand first, second, third, result
    cdef Py_ssize_t size, task
    cdef bint fits = (operand_of(y, &result) and spread_over(a, &first, &result)
                      and (b is None or spread_over(b, &second, &result)) and (c is None or spread_over(c, &third, &result)))
    cdef const Operand* other = NULL if b is None else &second
    cdef const Operand* last = NULL if c is None else &third
    if not fits:
        return False
    size = result.period
    if size == 0:
        return True
    if threads_for(size) == 1:                     # without the price of entering a parallel region
        run_of_values(op, &first, other, last, &result, 0, size, single)
        return True
    for task in prange((size + RUN - 1) // RUN, nogil=True, schedule="static", num_threads=threads_for(size)):
        run_of_values(op, &first, other, last, &result, task * RUN, min(size, (task + 1) * RUN), single)
    return True


cdef bint chosen(object condition, object a, object b, object y, bint single) except -1:
    """y = a where the condition holds, b elsewhere; False, with nothing done, where an array does not lie as needed."""
    cdef Operand first, second, holds, result
    cdef Py_ssize_t size, task
    if not (operand_of(y, &result) and spread_over(condition, &holds, &result) and spread_over(a, &first, &result)
            and spread_over(b, &second, &result)):
        return False
    size = result.period
    if threads_for(size) == 1:
        run_of_choices(&holds, &first, &second, &result, 0, size, single)
        return True
    for task in prange((size + RUN - 1) // RUN, nogil=True, schedule="static", num_threads=threads_for(size)):
        run_of_choices(&holds, &first, &second, &result, task * RUN, min(size, (task + 1) * RUN), single)
    return True


cdef void run_of_choices(const Operand* holds, const Operand* a, const Operand* b, const Operand* y, Py_ssize_t start, Py_ssize_t end,
                         bint single) noexcept nogil:
    """Values start … end − 1 of y."""
    if single:
        blocks_of_choices(holds, a, b, <float*>y.data, start, end)
    else:
        blocks_of_choices(holds, a, b, <double*>y.data, start, end)


cdef void blocks_of_choices(const Operand* holds, const Operand* a, const Operand* b, floating* y, Py_ssize_t start,
                            Py_ssize_t end) noexcept nogil:
    """As blocks_of_values."""
    cdef floating first[BLOCK]
    cdef floating second[BLOCK]
    cdef char third[BLOCK]
    cdef const floating* x = NULL
    cdef const floating* z = NULL
    cdef const char* taken = NULL
    cdef Py_ssize_t count, i
    while start < end:
        count = min(end - start, <Py_ssize_t>BLOCK)
        taken, x, z = line_of(holds, start, count, third, taken), line_of(a, start, count, first, x), line_of(b, start, count, second, z)
        for i in range(count):
            y[start + i] = x[i] if taken[i] else z[i]
        start += count


cdef void run_of_values(int op, const Operand* a, const Operand* b, const Operand* c, const Operand* y, Py_ssize_t start,
                        Py_ssize_t end, bint single) noexcept nogil:
    """Values start … end − 1 of y."""
    if single:
        blocks_of_values(op, a, b, c, <float*>y.data, start, end)
    else:
        blocks_of_values(op, a, b, c, <double*>y.data, start, end)


cdef void blocks_of_values(int op, const Operand* a, const Operand* b, const Operand* c, floating* y, Py_ssize_t start,
                           Py_ssize_t end) noexcept nogil:
    """Block by block; what is broadcast in the same way over every block is laid out only once."""
    cdef floating first[BLOCK]
    cdef floating second[BLOCK]
    cdef floating third[BLOCK]
    cdef const floating* x = NULL
    cdef const floating* z = NULL
    cdef const floating* w = NULL
    cdef Py_ssize_t count
    while start < end:
        count = min(end - start, <Py_ssize_t>BLOCK)
        x = line_of(a, start, count, first, x)
        if b != NULL:
            z = line_of(b, start, count, second, z)
        if c != NULL:
            w = line_of(c, start, count, third, w)
        line_of_values(op, x, z, w, y + start, count)
        start += count
