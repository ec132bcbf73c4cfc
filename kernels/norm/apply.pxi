# What is applied to every row of a matrix, a few factors per column, once the sums of its columns are known.
# An array far larger than the caches is filled past them (stores.pxi): nothing of it would still be there for its next reader.


cdef void apply_rows(const vector* x, const vector* factors, const vector* residual, vector* y, unsigned char* passed, Py_ssize_t rows,
                     Py_ssize_t width, bint rectified, bint streams) noexcept nogil:
    """y = act((x − centre) · slope + offset + residual); factors: `width` registers each of centre, slope, offset; residual and
    passed may be NULL."""
    cdef Py_ssize_t m, j, k, i = 0
    cdef vector value[TGC_STRIP]
    for m in range(rows):
        for j from 0 <= j < width by TGC_STRIP:
            for k in range(TGC_STRIP):
                value[k] = (x[i + k] - factors[j + k]) * factors[width + j + k] + factors[2 * width + j + k]
            if residual != NULL:
                for k in range(TGC_STRIP):
                    value[k] = value[k] + residual[i + k]
            if rectified:
                rectify(value, bits_from(passed, i * lanes_of(x)))
            store_strip(y + i, value, streams)
            i += TGC_STRIP


cdef void combine_rows(const vector* g, const vector* x, const unsigned char* passed, const vector* factors, vector* dx, Py_ssize_t rows,
                       Py_ssize_t width, bint streams) noexcept nogil:
    """dx = dz · gain + (x − centre) · slope + offset, dz = g where it passed, where factors are centre, slope, offset and gain."""
    cdef Py_ssize_t m, j, k, i = 0
    cdef vector value[TGC_STRIP]
    for m in range(rows):
        for j from 0 <= j < width by TGC_STRIP:
            for k in range(TGC_STRIP):
                value[k] = g[i + k]
            if passed != NULL:
                let_through(value, bits_from(passed, i * lanes_of(x)))
            for k in range(TGC_STRIP):
                value[k] = (value[k] * factors[3 * width + j + k]
                            + ((x[i + k] - factors[j + k]) * factors[width + j + k] + factors[2 * width + j + k]))
            store_strip(dx + i, value, streams)
            i += TGC_STRIP


# ---- chunks of rows

cdef void tile(floating* factors, Py_ssize_t kinds, const Plan* plan) noexcept nogil:
    """Repeat the first C columns of each of `kinds` rows of factors along its whole width."""
    cdef Py_ssize_t kind, j
    for kind in range(kinds):
        for j in range(plan.C, plan.width):
            factors[kind * plan.width + j] = factors[kind * plan.width + j - plan.C]


cdef void apply_chunk(const floating* x, const floating* factors, const floating* residual, floating* y, unsigned char* passed,
                      bint rectified, bint streams, Py_ssize_t chunk, const Plan* plan) noexcept nogil:
    """apply_rows for one chunk; the last chunk takes the rows left over too."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, rows = plan.wide * (chunk + 1) // plan.chunks - start, w = plan.width
    cdef Py_ssize_t i, c, at = start * w
    cdef const floating* beside = further(residual, at)
    if floating is float:
        apply_rows(<const vector_float*>(x + at), <const vector_float*>factors, <const vector_float*>beside, <vector_float*>(y + at),
                   bits_from(passed, at), rows, w * 4 // TGC_BYTES, rectified, streams)
    else:
        apply_rows(<const vector_double*>(x + at), <const vector_double*>factors, <const vector_double*>beside, <vector_double*>(y + at),
                   bits_from(passed, at), rows, w * 8 // TGC_BYTES, rectified, streams)
    if chunk == plan.chunks - 1:
        if rectified and passed != NULL:
            clear_rest(passed, plan)
        for i in range((plan.M - plan.rest) * plan.C, plan.M * plan.C):
            c = i % plan.C
            y[i] = (x[i] - factors[c]) * factors[w + c] + factors[2 * w + c]
            if residual != NULL:
                y[i] = y[i] + residual[i]
            if rectified:
                if passed != NULL and y[i] > 0:
                    passed[i >> 3] |= <unsigned char>(1 << (i & 7))
                if y[i] < 0:
                    y[i] = 0
    if streams:
        fence()


cdef void combine_chunk(const floating* g, const floating* x, const unsigned char* passed, const floating* factors, floating* dx,
                        bint streams, Py_ssize_t chunk, const Plan* plan) noexcept nogil:
    """combine_rows for one chunk; the last chunk takes the rows left over too."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, rows = plan.wide * (chunk + 1) // plan.chunks - start, w = plan.width
    cdef Py_ssize_t i, c, at = start * w
    if floating is float:
        combine_rows(<const vector_float*>(g + at), <const vector_float*>(x + at), bits_from(passed, at),
                     <const vector_float*>factors, <vector_float*>(dx + at), rows, w * 4 // TGC_BYTES, streams)
    else:
        combine_rows(<const vector_double*>(g + at), <const vector_double*>(x + at), bits_from(passed, at),
                     <const vector_double*>factors, <vector_double*>(dx + at), rows, w * 8 // TGC_BYTES, streams)
    if chunk == plan.chunks - 1:
        for i in range((plan.M - plan.rest) * plan.C, plan.M * plan.C):
            c = i % plan.C
            dx[i] = ((g[i] if lets_through(passed, i) else 0) * factors[3 * w + c]
                     + ((x[i] - factors[c]) * factors[w + c] + factors[2 * w + c]))
    if streams:
        fence()
