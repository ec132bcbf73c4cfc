# e^x, tanh x and 1 / (1 + e^(−x)) of a whole vector, in arithmetic alone: no call, no table, no branch, the same source for every
# instruction set and for both element types. Results lie within 2 (e^x) and 3 units in the last place of the true value, NaN stays
# NaN, overflow is infinity, and what is too small goes through the subnormal numbers to 0.
#
#     x = n · log 2 + r,  n whole,  |r| ≤ ½ log 2:     e^x = 2ⁿ · (1 + q),     q = e^r − 1 = r + r² · (1/2! + r/3! + r²/4! + …)
#
# The whole numbers come from rounding itself: x + 1.5 · 2²³ has no bits left for a fraction in a float (1.5 · 2⁵² in a double), so the sum
# is a whole number and its lowest bits hold n; with the exponent of 1 added, and shifted to the exponent's place, they are the number 2ⁿ.

cdef extern from "vector.h":
    ctypedef int vector_int
    ctypedef long long vector_long
    vector_float each_float "TGC_EACH"(vector_float v, double number) noexcept nogil
    vector_double each_double "TGC_EACH"(vector_double v, double number) noexcept nogil
    vector_float at_most_float "TGC_AT_MOST"(vector_float v, double limit) noexcept nogil
    vector_double at_most_double "TGC_AT_MOST"(vector_double v, double limit) noexcept nogil
    vector_float at_least_float "TGC_AT_LEAST"(vector_float v, double limit) noexcept nogil
    vector_double at_least_double "TGC_AT_LEAST"(vector_double v, double limit) noexcept nogil


cdef inline vector each(vector like, double number) noexcept nogil:
    """`number` in every element."""
    if vector is vector_float:
        return each_float(like, number)
    else:
        return each_double(like, number)


cdef inline vector to_whole(vector x, vector* shifted) noexcept nogil:
    """The whole number nearest to x, for |x| < 2²¹, and x + 1.5 · 2²³ (or ⁵²), in whose lowest bits it stands."""
    cdef vector shift = each(x, 12582912.0 if vector is vector_float else 6755399441055744.0)
    shifted[0] = x + shift
    return shifted[0] - shift


cdef inline vector power_of_two(vector shifted) noexcept nogil:
    """2ⁿ for n from `to_whole`, if that is a normal number; a cast between vectors of one size leaves the bits as they are."""
    if vector is vector_float:
        return <vector_float>(((<vector_int>shifted) + 127) << 23)
    else:
        return <vector_double>(((<vector_long>shifted) + 1023) << 52)


cdef inline vector exponential(vector x, vector* n) noexcept nogil:
    """q = e^r − 1 for the r of x = n · log 2 + r. log 2 is taken in two parts, the first so short that its product with n is exact."""
    cdef vector r, p, shifted
    n[0] = to_whole(x * each(x, 1.4426950408889634), &shifted)
    if vector is vector_float:
        r = (x - n[0] * each(x, 0.693359375)) + n[0] * each(x, 2.12194440054690583e-4)
        p = each(x, 1.0 / 5040)
    else:
        r = (x - n[0] * each(x, 0.693145751953125)) - n[0] * each(x, 1.42860682030941723e-6)
        p = r * each(x, 1.0 / 6227020800.0) + each(x, 1.0 / 479001600)
        p = p * r + each(x, 1.0 / 39916800)
        p = p * r + each(x, 1.0 / 3628800)
        p = p * r + each(x, 1.0 / 362880)
        p = p * r + each(x, 1.0 / 40320)
        p = p * r + each(x, 1.0 / 5040)
    p = p * r + each(x, 1.0 / 720)
    p = p * r + each(x, 1.0 / 120)
    p = p * r + each(x, 1.0 / 24)
    p = p * r + each(x, 1.0 / 6)
    p = p * r + each(x, 0.5)
    return r + (r * r) * p


cdef inline vector vector_exp(vector x) noexcept nogil:
    """e^x. 2ⁿ is multiplied in as two halves: neither 2¹²⁸ (2¹⁰²⁴) nor what lies below the normal numbers has an exponent of its own."""
    cdef vector q, n, half, low, high
    if vector is vector_float:
        x = at_most_float(at_least_float(x, -104), 89)             # from here on e^x is 0, or infinite
    else:
        x = at_most_double(at_least_double(x, -746), 710)
    q = exponential(x, &n)
    half = to_whole(n * each(x, 0.5), &low)
    half = to_whole(n - half, &high)
    return (q * power_of_two(low) + power_of_two(low)) * power_of_two(high)


cdef inline vector vector_tanh(vector x) noexcept nogil:
    """tanh x = t / (t + 2), t = e^(2|x|) − 1 = 2ⁿ · q + (2ⁿ − 1), signed as x; t keeps every digit near 0. From 9.1 (19.1) on it is 1."""
    cdef vector q, n, t, shifted, scale
    if vector is vector_float:
        q = at_most_float(<vector_float>((<vector_int>x) & 0x7FFFFFFF), 9.1)
    else:
        q = at_most_double(<vector_double>((<vector_long>x) & 0x7FFFFFFFFFFFFFFFLL), 19.1)
    q = exponential(q + q, &n)
    n = to_whole(n, &shifted)
    scale = power_of_two(shifted)
    t = scale * q + (scale - each(x, 1))
    t = t / (t + each(x, 2))
    if vector is vector_float:
        return <vector_float>((<vector_int>t) | ((<vector_int>x) & ~0x7FFFFFFF))
    else:
        return <vector_double>((<vector_long>t) | ((<vector_long>x) & ~0x7FFFFFFFFFFFFFFFLL))


cdef inline vector vector_sigmoid(vector x) noexcept nogil:
    """1 / (1 + e^(−x)): e^(−x) may overflow to infinity, and then the answer is the 0 that it should be."""
    return each(x, 1) / (vector_exp(-x) + each(x, 1))
