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
    cdef const floating* all_scales = NULL
    cdef const floating* all_biases = NULL
    cdef Py_ssize_t i = 0, copy, c
    if columns < NARROW and lines >= TOGETHER:
        if scale != NULL:
            all_scales = &scales[0]
        if bias != NULL:
            all_biases = &biases[0]
        for copy in range(TOGETHER):
            for c in range(columns):
                scales[copy * columns + c] = scale[c] if scale != NULL else 1
                biases[copy * columns + c] = bias[c] if bias != NULL else 0
        while i + TOGETHER <= lines:
            finish(y + i * columns, all_scales, all_biases, residual + i * columns if residual != NULL else residual,
                   columns * TOGETHER, activation)
            i += TOGETHER
    while i < lines:
        finish(y + i * columns, scale, bias, residual + i * columns if residual != NULL else residual, columns, activation)
        i += 1


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
        if activation == 1:
            if vector is vector_float:
                value = relu_float(value)
            else:
                value = relu_double(value)
        elif activation == 2:
            value = vector_tanh(value)
        y[j] = value
    return count * lanes
