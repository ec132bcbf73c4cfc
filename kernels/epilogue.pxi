# What is applied to a finished line of results while it still is in the first-level cache.
include "transcendental.pxi"

cdef extern from "vector.h":
    vector_float relu_float "TGC_RELU"(vector_float v) noexcept nogil
    vector_double relu_double "TGC_RELU"(vector_double v) noexcept nogil


cdef void finish(floating* y, const floating* scale, const floating* bias, const floating* residual, Py_ssize_t columns,
                 int activation) noexcept nogil:
    """y = act(y · scale + bias + residual) on one line of `columns` channels, in place; what is NULL is left out.

    `activation` is a number of kernels.ACTIVATIONS. Whole vectors first, then the channels past them one by one.
    """
    cdef Py_ssize_t done, i
    if floating is float:
        done = finish_vectors(<vector_float*>y, scale, bias, residual, columns, activation)
    else:
        done = finish_vectors(<vector_double*>y, scale, bias, residual, columns, activation)
    for i in range(done, columns):
        if scale != NULL:
            y[i] = y[i] * scale[i]
        if bias != NULL:
            y[i] = y[i] + bias[i]
        if residual != NULL:
            y[i] = y[i] + residual[i]
        if activation == 1 and y[i] < 0:
            y[i] = 0
    if activation == 2 and done < columns:
        tanh_few(y + done, columns - done)


cdef enum:
    NARROW = 64         # lines of fewer channels are finished
    TOGETHER = 16       # so many at a time: as many floats as the widest vector holds, so that together they are whole vectors


cdef void finish_lines(floating* y, const floating* scale, const floating* bias, const floating* residual, Py_ssize_t columns,
                       Py_ssize_t lines, int activation) noexcept nogil:
    """`finish` for lines that lie one after another. Six channels do not fill a vector; sixteen lines of six channels fill twelve."""
    cdef floating scales[NARROW * TOGETHER]
    cdef floating biases[NARROW * TOGETHER]
    cdef Py_ssize_t together = smaller(lines, TOGETHER) if columns < NARROW else 1, i = 0, some, copy, c
    if together > 1 and scale != NULL:
        for copy in range(together):
            for c in range(columns):
                scales[copy * columns + c] = scale[c]
        scale = &scales[0]
    if together > 1 and bias != NULL:
        for copy in range(together):
            for c in range(columns):
                biases[copy * columns + c] = bias[c]
        bias = &biases[0]
    while i < lines:
        some = smaller(together, lines - i)
        finish(y + i * columns, scale, bias, residual + i * columns if residual != NULL else residual, columns * some, activation)
        i += some


cdef void tanh_few(floating* y, Py_ssize_t count) noexcept nogil:
    """y = tanh y for fewer values than a vector holds: by way of a whole vector, so that all channels are computed alike."""
    cdef floating whole[TGC_BYTES]
    cdef Py_ssize_t i
    for i in range(TGC_BYTES // <Py_ssize_t>sizeof(floating)):
        whole[i] = y[i] if i < count else 0
    if floating is float:
        (<vector_float*>whole)[0] = vector_tanh((<vector_float*>whole)[0])
    else:
        (<vector_double*>whole)[0] = vector_tanh((<vector_double*>whole)[0])
    for i in range(count):
        y[i] = whole[i]


cdef inline Py_ssize_t finish_vectors(vector* y, const floating* scale, const floating* bias, const floating* residual, Py_ssize_t columns,
                                      int activation) noexcept nogil:
    """The whole vectors of a line, each loaded and stored once; how many channels that were."""
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), count = columns // lanes, j
    cdef vector value
    for j in range(count):
        value = y[j]
        if scale != NULL:
            value = value * (<const vector*>scale)[j]
        if bias != NULL:
            value = value + (<const vector*>bias)[j]
        if residual != NULL:
            value = value + (<const vector*>residual)[j]
        y[j] = activated(value, activation)
    return count * lanes


cdef inline vector activated(vector value, int activation) noexcept nogil:
    """The activation of one vector."""
    if activation == 1:
        if vector is vector_float:
            return relu_float(value)
        else:
            return relu_double(value)
    elif activation == 2:
        return vector_tanh(value)
    return value
