# The ways back: a is the cotangent of y = f(x), and the result is a · f′(x), from b = x or b = y, in one pass. What they compute stands in
# reference.py. Those of arithmetic and exponentials are loops over whole vectors; the others go number by number through the C library.
from libc.math cimport cos, cosf, log, logf, pow, powf, sin, sinf

cdef enum:
    SQUARE_SLOPE = 32, EXPM1_SLOPE, LOG1P_SLOPE, SQRT_SLOPE, TAN_SLOPE, SINH_SLOPE, COSH_SLOPE, SILU_SLOPE, SOFTPLUS_SLOPE, ERF_SLOPE
    NORMAL_SLOPE, DIVIDE_SLOPE
    NUMBERS = 64, ABS_SLOPE, SIN_SLOPE, COS_SLOPE, POWER, MAXIMUM_SLOPE, POWER_SLOPE, EXPONENT_SLOPE      # from NUMBERS on, one by one
    CLIP, CLIP_SLOPE, SCALED_DIFFERENCE


cdef void slope_vectors(int op, const vector* a, const vector* b, const vector* c, vector* y, Py_ssize_t count) noexcept nogil:
    """y = op(a, b) or op(a, b, c)."""
    cdef Py_ssize_t i
    cdef vector s
    if op == SQUARE_SLOPE:
        for i in range(count):
            y[i] = a[i] * each(b[i], 2) * b[i]
    elif op == EXPM1_SLOPE:
        for i in range(count):
            y[i] = a[i] * (b[i] + each(b[i], 1))
    elif op == LOG1P_SLOPE:
        for i in range(count):
            y[i] = a[i] / (each(b[i], 1) + b[i])
    elif op == SQRT_SLOPE:
        for i in range(count):
            y[i] = a[i] / (each(b[i], 2) * b[i])
    elif op == TAN_SLOPE:
        for i in range(count):
            y[i] = a[i] * (each(b[i], 1) + b[i] * b[i])
    elif op == SINH_SLOPE:
        for i in range(count):
            s = half_sinh(b[i])
            y[i] = a[i] * (each(b[i], 1) + each(b[i], 2) * s * s)
    elif op == COSH_SLOPE:
        for i in range(count):
            s = half_sinh(b[i])
            y[i] = a[i] * with_sign(2 * s * half_cosh(b[i]), b[i])
    elif op == SILU_SLOPE:
        for i in range(count):
            s = vector_sigmoid(b[i])
            y[i] = a[i] * (s * (each(s, 1) + b[i] * (each(s, 1) - s)))
    elif op == SOFTPLUS_SLOPE:
        for i in range(count):
            y[i] = a[i] * vector_sigmoid(b[i])
    elif op == ERF_SLOPE:
        for i in range(count):
            y[i] = a[i] * (each(b[i], 1.1283791670955126) * vector_exp(-(b[i] * b[i])))
    elif op == NORMAL_SLOPE:
        for i in range(count):
            y[i] = a[i] * (each(b[i], 0.3989422804014327) * vector_exp(b[i] * b[i] * each(b[i], -0.5)))
    elif op == DIVIDE_SLOPE:
        for i in range(count):
            y[i] = -(a[i] / b[i]) * c[i]


cdef inline vector less_one(vector x) noexcept nogil:
    """t = e^(|x| / 2) − 1, every digit of it near 0; sinh and cosh of x / 2 are (t + t/(t+1)) / 2 and (t + 1 + 1/(t+1)) / 2."""
    cdef vector q, n, shifted, scale
    if vector is vector_float:
        q = at_most_float(absolute(x) * each(x, 0.5), 60)         # from here on sinh x and cosh x are infinite
    else:
        q = at_most_double(absolute(x) * each(x, 0.5), 500)
    q = exponential(q, &n)
    n = to_whole(n, &shifted)
    scale = power_of_two(shifted)
    return scale * q + (scale - each(x, 1))


cdef inline vector half_sinh(vector x) noexcept nogil:
    """sinh |x / 2|: sinh x = 2 sinh (x/2) cosh (x/2) and cosh x = 1 + 2 sinh² (x/2) overflow only where they must."""
    cdef vector t = less_one(x)
    return (t + t / (t + each(x, 1))) * each(x, 0.5)


cdef inline vector half_cosh(vector x) noexcept nogil:
    """cosh (x / 2)."""
    cdef vector t = less_one(x) + each(x, 1)
    return (t + each(x, 1) / t) * each(x, 0.5)


cdef inline vector with_sign(vector t, vector x) noexcept nogil:
    """t ≥ 0 with the sign of x."""
    if vector is vector_float:
        return <vector_float>((<vector_int>t) | ((<vector_int>x) & ~0x7FFFFFFF))
    else:
        return <vector_double>((<vector_long>t) | ((<vector_long>x) & ~0x7FFFFFFFFFFFFFFFLL))


cdef void numbers(int op, const floating* a, const floating* b, const floating* c, floating* y, Py_ssize_t count) noexcept nogil:
    """y = op(a, b) or op(a, b, c), one by one."""
    cdef Py_ssize_t i
    cdef floating held
    if op == ABS_SLOPE:
        for i in range(count):
            y[i] = a[i] * (1 if b[i] > 0 else -1 if b[i] < 0 else b[i])           # 0 · b is 0 or NaN, and so is b where it is neither
    elif op == SIN_SLOPE:
        for i in range(count):
            y[i] = a[i] * (cosf(b[i]) if floating is float else cos(b[i]))
    elif op == COS_SLOPE:
        for i in range(count):
            y[i] = -a[i] * (sinf(b[i]) if floating is float else sin(b[i]))
    elif op == POWER:
        for i in range(count):
            y[i] = power_of(a[i], b[i])
    elif op == MAXIMUM_SLOPE:
        for i in range(count):
            y[i] = a[i] * (1 if b[i] > c[i] else <floating>0.5 if b[i] == c[i] else 0)
    elif op == POWER_SLOPE:
        for i in range(count):
            y[i] = a[i] * (0 if b[i] == 0 and c[i] == 0 else c[i] * power_of(b[i], c[i] - 1))
    elif op == EXPONENT_SLOPE:
        for i in range(count):
            y[i] = 0 if b[i] == 0 and c[i] <= 1 else a[i] * c[i] * (logf(b[i]) if floating is float else log(b[i]))
    elif op == CLIP:
        for i in range(count):
            held = b[i] if a[i] < b[i] else a[i]
            y[i] = c[i] if held > c[i] else held
    elif op == CLIP_SLOPE:
        for i in range(count):
            y[i] = a[i] if (b[i] == c[i]) | (b[i] != b[i]) else 0
    elif op == SCALED_DIFFERENCE:
        for i in range(count):
            y[i] = a[i] * (b[i] - c[i])


cdef inline floating power_of(floating a, floating b) noexcept nogil:
    """a to the power b; squares and the like, which are most of the powers that people write, without the C library's logarithm."""
    if b == 1:
        return a
    if b == 2:
        return a * a
    if b == 3:
        return a * a * a
    if b == -1:
        return 1 / a
    return powf(a, b) if floating is float else pow(a, b)
