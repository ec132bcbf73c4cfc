# Sums along the rows of a matrix, per column, and what is applied to its columns afterwards.

cdef struct Plan:
    # `wide` wide rows of `width` columns hold `rows` rows each; `chunks` tasks of blocks of `block` wide rows; `rest` rows remain.
    Py_ssize_t M, C, rows, width, wide, rest, block, chunks


cdef Plan plan_of(Py_ssize_t M, Py_ssize_t C, Py_ssize_t most) noexcept nogil:
    """How M rows of C columns are cut. A block of rows stays in a near cache while its columns are summed strip by strip."""
    cdef Plan plan
    cdef Py_ssize_t shared = 1
    while shared < 32 and C % (2 * shared) == 0:
        shared *= 2
    plan.M, plan.C, plan.rows = M, C, 32 // shared
    plan.width = plan.rows * C
    plan.wide = M // plan.rows
    plan.rest = M - plan.wide * plan.rows
    plan.block = max(16, min(64, 4096 // plan.width))
    plan.chunks = max(1, min(most, (plan.wide + plan.block - 1) // plan.block))
    return plan


# ---- the vector loops: everything else in this file happens once per column

cdef void moments_of_block(const vector* x, Py_ssize_t rows, Py_ssize_t stride, vector* sums) noexcept nogil:
    """Two registers of columns of a block: sums[0:2] = Σ (x − first row), sums[2:4] = Σ (x − first row)²."""
    cdef Py_ssize_t m
    cdef vector first = x[0], second = x[1], a, b, aa, bb, d
    memset(&a, 0, TGC_BYTES)
    b, aa, bb = a, a, a
    for m in range(rows):
        d = x[m * stride] - first
        a = a + d
        aa = aa + d * d
        d = x[m * stride + 1] - second
        b = b + d
        bb = bb + d * d
    sums[0], sums[1], sums[2], sums[3] = a, b, aa, bb


cdef void products_of_block(const vector* g, const vector* x, const vector* mean, Py_ssize_t rows, Py_ssize_t stride,
                            vector* sums) noexcept nogil:
    """Two registers of columns of a block: sums[0:2] = Σ g, sums[2:4] = Σ g · (x − mean)."""
    cdef Py_ssize_t m
    cdef vector first = mean[0], second = mean[1], a, b, aa, bb
    memset(&a, 0, TGC_BYTES)
    b, aa, bb = a, a, a
    for m in range(rows):
        a = a + g[m * stride]
        aa = aa + g[m * stride] * (x[m * stride] - first)
        b = b + g[m * stride + 1]
        bb = bb + g[m * stride + 1] * (x[m * stride + 1] - second)
    sums[0], sums[1], sums[2], sums[3] = a, b, aa, bb


cdef void apply_rows(const vector* x, const vector* factors, vector* y, Py_ssize_t rows, Py_ssize_t width) noexcept nogil:
    """y = (x − centre) · slope + offset, where factors are `width` registers each of centre, slope and offset."""
    cdef Py_ssize_t m, j
    for m in range(rows):
        for j in range(width):
            y[m * width + j] = (x[m * width + j] - factors[j]) * factors[width + j] + factors[2 * width + j]


cdef void combine_rows(const vector* g, const vector* x, const vector* factors, vector* dx, Py_ssize_t rows,
                       Py_ssize_t width) noexcept nogil:
    """dx = g · gain + (x − centre) · slope + offset, where factors are centre, slope, offset and gain."""
    cdef Py_ssize_t m, j
    for m in range(rows):
        for j in range(width):
            dx[m * width + j] = (g[m * width + j] * factors[3 * width + j]
                                 + ((x[m * width + j] - factors[j]) * factors[width + j] + factors[2 * width + j]))


# ---- sums along the rows, as totals[0:C] and totals[C:2C]; for g = NULL the moments of x, otherwise the products of g and x

cdef void sum_chunk(const floating* g, const floating* x, const floating* centre, Py_ssize_t chunk, const Plan* plan,
                    double* sums) noexcept nogil:
    """The sums of one chunk of wide rows, per wide column: Σ d, Σ d² with d = x − centre, or Σ g, Σ g·d."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, end = plan.wide * (chunk + 1) // plan.chunks
    cdef Py_ssize_t strip = 2 * TGC_BYTES // sizeof(floating), stride = plan.width * sizeof(floating) // TGC_BYTES
    cdef Py_ssize_t m, rows, j, k
    cdef floating part[64]                              # four registers of at most 64 bytes
    cdef double away, weight
    cdef double* a = sums + 2 * chunk * plan.width
    cdef double* b = a + plan.width
    memset(a, 0, 2 * plan.width * sizeof(double))
    for m from start <= m < end by plan.block:
        rows = min(plan.block, end - m)
        weight = rows
        for j from 0 <= j < plan.width by strip:
            if g == NULL:
                if floating is float:
                    moments_of_block(<const vector_float*>(x + m * plan.width + j), rows, stride, <vector_float*>part)
                else:
                    moments_of_block(<const vector_double*>(x + m * plan.width + j), rows, stride, <vector_double*>part)
                for k in range(j, j + strip):       # the block was measured from its first row: move to the centre
                    away = <double>x[m * plan.width + k] - centre[k]
                    a[k] += part[k - j] + weight * away
                    b[k] += part[strip + k - j] + away * (2 * part[k - j] + weight * away)
            else:
                if floating is float:
                    products_of_block(<const vector_float*>(g + m * plan.width + j), <const vector_float*>(x + m * plan.width + j),
                                      <const vector_float*>(centre + j), rows, stride, <vector_float*>part)
                else:
                    products_of_block(<const vector_double*>(g + m * plan.width + j), <const vector_double*>(x + m * plan.width + j),
                                      <const vector_double*>(centre + j), rows, stride, <vector_double*>part)
                for k in range(j, j + strip):
                    a[k] += part[k - j]
                    b[k] += part[strip + k - j]


cdef void fold_chunks(const floating* g, const floating* x, const floating* centre, const Plan* plan, const double* sums,
                      double* totals) noexcept nogil:
    """Add the chunks, in order, and then the rows that no wide row holds, into one pair of totals per channel."""
    cdef Py_ssize_t chunk, j, c, m, C = plan.C
    cdef double d
    memset(totals, 0, 2 * C * sizeof(double))
    for chunk in range(plan.chunks):
        c = 0
        for j in range(plan.width):
            totals[c] += sums[2 * chunk * plan.width + j]
            totals[C + c] += sums[(2 * chunk + 1) * plan.width + j]
            c = c + 1 if c + 1 < C else 0
    for m in range(plan.M - plan.rest, plan.M):
        for c in range(C):
            d = <double>x[m * C + c] - centre[c]
            totals[c] += d if g == NULL else g[m * C + c]
            totals[C + c] += d * (d if g == NULL else g[m * C + c])


cdef void tile(floating* factors, Py_ssize_t kinds, const Plan* plan) noexcept nogil:
    """Repeat the first C columns of each of `kinds` rows of factors along its whole width."""
    cdef Py_ssize_t kind, j
    for kind in range(kinds):
        for j in range(plan.C, plan.width):
            factors[kind * plan.width + j] = factors[kind * plan.width + j - plan.C]


cdef void apply_chunk(const floating* x, const floating* factors, floating* y, Py_ssize_t chunk, const Plan* plan) noexcept nogil:
    """apply_rows for one chunk; the last chunk takes the rows left over too."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, rows = plan.wide * (chunk + 1) // plan.chunks - start, w = plan.width
    cdef Py_ssize_t m, c, at = start * w
    if floating is float:
        apply_rows(<const vector_float*>(x + at), <const vector_float*>factors, <vector_float*>(y + at), rows, w * 4 // TGC_BYTES)
    else:
        apply_rows(<const vector_double*>(x + at), <const vector_double*>factors, <vector_double*>(y + at), rows, w * 8 // TGC_BYTES)
    if chunk == plan.chunks - 1:
        for m in range(plan.M - plan.rest, plan.M):
            for c in range(plan.C):
                at = m * plan.C + c
                y[at] = (x[at] - factors[c]) * factors[w + c] + factors[2 * w + c]


cdef void combine_chunk(const floating* g, const floating* x, const floating* factors, floating* dx, Py_ssize_t chunk,
                        const Plan* plan) noexcept nogil:
    """combine_rows for one chunk; the last chunk takes the rows left over too."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, rows = plan.wide * (chunk + 1) // plan.chunks - start, w = plan.width
    cdef Py_ssize_t m, c, at = start * w
    if floating is float:
        combine_rows(<const vector_float*>(g + at), <const vector_float*>(x + at), <const vector_float*>factors,
                     <vector_float*>(dx + at), rows, w * 4 // TGC_BYTES)
    else:
        combine_rows(<const vector_double*>(g + at), <const vector_double*>(x + at), <const vector_double*>factors,
                     <vector_double*>(dx + at), rows, w * 8 // TGC_BYTES)
    if chunk == plan.chunks - 1:
        for m in range(plan.M - plan.rest, plan.M):
            for c in range(plan.C):
                at = m * plan.C + c
                dx[at] = g[at] * factors[3 * w + c] + ((x[at] - factors[c]) * factors[w + c] + factors[2 * w + c])


cdef inline double not_below_zero(double value) noexcept nogil:
    """A variance that rounding made negative is 0; NaN stays."""
    return 0 if value < 0 else value


cdef inline void set_gradient_factors(floating* factors, Py_ssize_t width, double gain, double inverse, double mean_g,
                                      double mean_product) noexcept nogil:
    """slope, offset and gain of combine_rows for one column: dx = gain · (g − mean_g − (x − centre) · inverse² · mean_product)."""
    factors[width] = <floating>(-gain * inverse * inverse * mean_product)
    factors[2 * width] = <floating>(-gain * mean_g)
    factors[3 * width] = <floating>gain


cdef void* scratch(Py_ssize_t doubles, Py_ssize_t values, size_t itemsize) except NULL:
    """Memory for `doubles` doubles followed by `values` values; to be freed."""
    cdef void* memory = malloc(doubles * sizeof(double) + values * itemsize)
    if memory == NULL:
        raise MemoryError(f"normalisation: no memory for its sums, {doubles * sizeof(double) + values * itemsize} bytes")
    return memory
