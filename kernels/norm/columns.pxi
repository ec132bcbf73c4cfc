# Sums along the rows of a matrix, per column.

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


cdef inline const floating* further(const floating* array, Py_ssize_t at) noexcept nogil:
    """The array from element `at` on; one that is absent stays NULL."""
    if array == NULL:
        return NULL
    return array + at


# ---- the vector loops: everything else in this file happens once per column

cdef extern from *:
    """
    /* Registers of columns that are summed side by side: two cache lines of a row, or as many as 16 registers have sums for. */
    #define TGC_STRIP (TGC_BYTES >= 64 ? 2 : 4)
    """
    enum: TGC_STRIP

cdef extern from "vector.h":
    vector_float relu_float "TGC_RELU"(vector_float v) noexcept nogil
    vector_double relu_double "TGC_RELU"(vector_double v) noexcept nogil


cdef void moments_of_block(const vector* x, Py_ssize_t rows, Py_ssize_t stride, vector* sums) noexcept nogil:
    """One strip of columns of a block: the first half of sums = Σ (x − first row), the second = Σ (x − first row)²."""
    cdef vector first[TGC_STRIP]
    cdef vector once[TGC_STRIP]
    cdef vector twice[TGC_STRIP]
    cdef vector d
    cdef Py_ssize_t m, j
    memset(&d, 0, TGC_BYTES)
    for j in range(TGC_STRIP):
        first[j], once[j], twice[j] = x[j], d, d
    for m in range(rows):
        for j in range(TGC_STRIP):
            d = x[m * stride + j] - first[j]
            once[j] = once[j] + d
            twice[j] = twice[j] + d * d
    for j in range(TGC_STRIP):
        sums[j], sums[TGC_STRIP + j] = once[j], twice[j]


# ---- sums along the rows: a pair per wide column from each chunk, at last totals[0:C] and totals[C:2C]

cdef void moments_of_chunk(const floating* x, const floating* centre, Py_ssize_t chunk, const Plan* plan, double* sums) noexcept nogil:
    """Σ (x − centre) and Σ (x − centre)² over one chunk of wide rows."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, end = plan.wide * (chunk + 1) // plan.chunks, at
    cdef Py_ssize_t strip = TGC_STRIP * TGC_BYTES // sizeof(floating), stride = plan.width * sizeof(floating) // TGC_BYTES
    cdef Py_ssize_t m, rows, j, k
    cdef floating part[64]                              # 2 · TGC_STRIP registers, 256 bytes at most
    cdef double away, weight
    cdef double* once = sums + 2 * chunk * plan.width
    cdef double* twice = once + plan.width
    memset(once, 0, 2 * plan.width * sizeof(double))
    for m from start <= m < end by plan.block:
        rows = min(plan.block, end - m)
        weight = rows
        for j from 0 <= j < plan.width by strip:
            at = m * plan.width + j
            if floating is float:
                moments_of_block(<const vector_float*>(x + at), rows, stride, <vector_float*>part)
            else:
                moments_of_block(<const vector_double*>(x + at), rows, stride, <vector_double*>part)
            for k in range(strip):                      # the block was measured from its first row: move to the centre
                away = <double>x[at + k] - centre[j + k]
                once[j + k] += part[k] + weight * away
                twice[j + k] += part[strip + k] + away * (2 * part[k] + weight * away)


cdef void fold_chunks(double* sums, const Plan* plan, double* totals) noexcept nogil:
    """Add the chunks, in order, and then the columns of one channel, into one pair of totals per channel."""
    cdef Py_ssize_t chunk, j, c = 0, C = plan.C
    cdef const double* others
    for chunk in range(1, plan.chunks):
        others = sums + 2 * chunk * plan.width
        for j in range(2 * plan.width):
            sums[j] += others[j]
    memset(totals, 0, 2 * C * sizeof(double))
    for j in range(plan.width):
        totals[c] += sums[j]
        totals[C + c] += sums[plan.width + j]
        c = c + 1 if c + 1 < C else 0


cdef void add_moments_of_rest(const floating* x, const floating* centre, const Plan* plan, double* totals) noexcept nogil:
    """moments_of_chunk for the rows that no wide row holds, added to the totals."""
    cdef Py_ssize_t i, c
    cdef double d
    for i in range((plan.M - plan.rest) * plan.C, plan.M * plan.C):
        c = i % plan.C
        d = <double>x[i] - centre[c]
        totals[c] += d
        totals[plan.C + c] += d * d


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
