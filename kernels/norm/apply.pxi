# What is applied to every row of a matrix, a few factors per column, once the sums of its columns are known.
# An array far larger than the caches is filled past them (stores.pxi): nothing of it would still be there for its next reader.


cdef void apply_rows(const vector* x, const vector* factors, const vector* residual, vector* y, Py_ssize_t rows, Py_ssize_t width,
                     int activation, bint streams) noexcept nogil:
    """y = act((x − centre) · slope + offset + residual); factors: `width` registers each of centre, slope, offset; residual may be NULL."""
    cdef Py_ssize_t m, j, i = 0
    cdef vector value
    for m in range(rows):
        for j in range(width):
            value = (x[i] - factors[j]) * factors[width + j] + factors[2 * width + j]
            if residual != NULL:
                value = value + residual[i]
            if activation == 1:
                value = relu_float(value) if vector is vector_float else relu_double(value)
            store(y + i, value, streams)
            i += 1


cdef void combine_rows(const vector* g, const vector* x, const vector* y, const vector* factors, vector* dx, Py_ssize_t rows,
                       Py_ssize_t width, int activation, bint streams) noexcept nogil:
    """dx = dz · gain + (x − centre) · slope + offset, dz = g · act'(z), where factors are centre, slope, offset and gain."""
    cdef Py_ssize_t m, j, i = 0
    cdef vector value
    for m in range(rows):
        for j in range(width):
            value = (sloped(g[i], y, i, activation) * factors[3 * width + j]
                     + ((x[i] - factors[j]) * factors[width + j] + factors[2 * width + j]))
            store(dx + i, value, streams)
            i += 1


# ---- chunks of rows

cdef void tile(floating* factors, Py_ssize_t kinds, const Plan* plan) noexcept nogil:
    """Repeat the first C columns of each of `kinds` rows of factors along its whole width."""
    cdef Py_ssize_t kind, j
    for kind in range(kinds):
        for j in range(plan.C, plan.width):
            factors[kind * plan.width + j] = factors[kind * plan.width + j - plan.C]


cdef void apply_chunk(const floating* x, const floating* factors, const floating* residual, floating* y, int activation, bint streams,
                      Py_ssize_t chunk, const Plan* plan) noexcept nogil:
    """apply_rows for one chunk; the last chunk takes the rows left over too."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, rows = plan.wide * (chunk + 1) // plan.chunks - start, w = plan.width
    cdef Py_ssize_t i, c, at = start * w
    cdef const floating* beside = further(residual, at)
    if floating is float:
        apply_rows(<const vector_float*>(x + at), <const vector_float*>factors, <const vector_float*>beside, <vector_float*>(y + at),
                   rows, w * 4 // TGC_BYTES, activation, streams)
    else:
        apply_rows(<const vector_double*>(x + at), <const vector_double*>factors, <const vector_double*>beside, <vector_double*>(y + at),
                   rows, w * 8 // TGC_BYTES, activation, streams)
    if chunk == plan.chunks - 1:
        for i in range((plan.M - plan.rest) * plan.C, plan.M * plan.C):
            c = i % plan.C
            y[i] = (x[i] - factors[c]) * factors[w + c] + factors[2 * w + c]
            if residual != NULL:
                y[i] = y[i] + residual[i]
            if activation == 1 and y[i] < 0:
                y[i] = 0
    if streams:
        fence()


cdef void combine_chunk(const floating* g, const floating* x, const floating* y, const floating* factors, floating* dx, int activation,
                        bint streams, Py_ssize_t chunk, const Plan* plan) noexcept nogil:
    """combine_rows for one chunk; the last chunk takes the rows left over too."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, rows = plan.wide * (chunk + 1) // plan.chunks - start, w = plan.width
    cdef Py_ssize_t i, c, at = start * w
    cdef const floating* result = further(y, at)
    if floating is float:
        combine_rows(<const vector_float*>(g + at), <const vector_float*>(x + at), <const vector_float*>result,
                     <const vector_float*>factors, <vector_float*>(dx + at), rows, w * 4 // TGC_BYTES, activation, streams)
    else:
        combine_rows(<const vector_double*>(g + at), <const vector_double*>(x + at), <const vector_double*>result,
                     <const vector_double*>factors, <vector_double*>(dx + at), rows, w * 8 // TGC_BYTES, activation, streams)
    if chunk == plan.chunks - 1:
        for i in range((plan.M - plan.rest) * plan.C, plan.M * plan.C):
            c = i % plan.C
            dx[i] = (sloped_number(g[i], y, i, activation) * factors[3 * w + c]
                     + ((x[i] - factors[c]) * factors[w + c] + factors[2 * w + c]))
    if streams:
        fence()
