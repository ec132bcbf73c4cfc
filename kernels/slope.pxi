# The derivative of an activation, from what the activation gave: relu' = 1 where y > 0 and else 0, tanh' = 1 − y².
cdef extern from *:
    """
    /* Each element of g where that of y is positive, and 0 elsewhere, even of an infinite g: no multiplication by 0. */
    #define TGC_GATE(g, y) ((__typeof__(g))(((y) > 0) & (__typeof__((y) > 0))(g)))
    """
    vector_float gate_float "TGC_GATE"(vector_float g, vector_float y) noexcept nogil
    vector_double gate_double "TGC_GATE"(vector_double g, vector_double y) noexcept nogil


cdef inline vector sloped(vector g, const vector* y, Py_ssize_t i, int activation) noexcept nogil:
    """g · act'(z) of one register, y[i] = act(z); `activation` is a number of kernels.ACTIVATIONS, and y is not read where it is 0."""
    if activation == 1:
        return gate_float(g, y[i]) if vector is vector_float else gate_double(g, y[i])
    if activation == 2:
        return g * (1 - y[i] * y[i])
    return g


cdef inline floating sloped_number(floating g, const floating* y, Py_ssize_t i, int activation) noexcept nogil:
    """sloped for one number."""
    if activation == 1:
        return g if y[i] > 0 else 0
    if activation == 2:
        return g * (1 - y[i] * y[i])
    return g
