# Sums of the cotangent along the rows of a matrix, per column, and the cotangent before the activation.

cdef void products_of_block(const vector* g, const vector* x, const unsigned char* passed, Py_ssize_t bytes_of_row, const vector* mean,
                            vector* dz, Py_ssize_t rows, Py_ssize_t stride, bint streams, vector* sums) noexcept nogil:
    """One strip of columns of a block: dz = g where it passed, kept unless NULL; sums = Σ dz, and Σ dz · (x − mean)."""
    cdef vector once[TGC_STRIP]
    cdef vector product[TGC_STRIP]
    cdef vector d[TGC_STRIP]
    cdef Py_ssize_t m, j
    memset(once, 0, sizeof(once))
    memset(product, 0, sizeof(product))
    for m in range(rows):
        for j in range(TGC_STRIP):
            d[j] = g[m * stride + j]
        if passed != NULL:
            let_through(d, passed + m * bytes_of_row)
        for j in range(TGC_STRIP):
            once[j] = once[j] + d[j]
            product[j] = product[j] + d[j] * (x[m * stride + j] - mean[j])
        if dz != NULL:
            store_strip(dz + m * stride, d, streams)
    for j in range(TGC_STRIP):
        sums[j], sums[TGC_STRIP + j] = once[j], product[j]


cdef void products_of_chunk(const floating* g, const floating* x, const unsigned char* passed, const floating* centre, floating* dz,
                            bint streams, Py_ssize_t chunk, const Plan* plan, double* sums) noexcept nogil:
    """dz = g · act'(z), Σ dz and Σ dz · (x − centre) over one chunk of wide rows; passed and dz may be NULL."""
    cdef Py_ssize_t start = plan.wide * chunk // plan.chunks, end = plan.wide * (chunk + 1) // plan.chunks, at
    cdef Py_ssize_t strip = TGC_STRIP * TGC_BYTES // sizeof(floating), stride = plan.width * sizeof(floating) // TGC_BYTES
    cdef Py_ssize_t m, rows, j, k
    cdef floating part[64]
    cdef double* once = sums + 2 * chunk * plan.width
    cdef double* product = once + plan.width
    memset(once, 0, 2 * plan.width * sizeof(double))
    for m from start <= m < end by plan.block:
        rows = min(plan.block, end - m)
        for j from 0 <= j < plan.width by strip:
            at = m * plan.width + j
            if floating is float:
                products_of_block(<const vector_float*>(g + at), <const vector_float*>(x + at), bits_from(passed, at), plan.width // 8,
                                  <const vector_float*>(centre + j), <vector_float*>further(dz, at), rows, stride, streams,
                                  <vector_float*>part)
            else:
                products_of_block(<const vector_double*>(g + at), <const vector_double*>(x + at), bits_from(passed, at), plan.width // 8,
                                  <const vector_double*>(centre + j), <vector_double*>further(dz, at), rows, stride, streams,
                                  <vector_double*>part)
            for k in range(strip):
                once[j + k] += part[k]
                product[j + k] += part[strip + k]
    if streams:
        fence()


cdef void add_products_of_rest(const floating* g, const floating* x, const unsigned char* passed, const floating* centre, floating* dz,
                               const Plan* plan, double* totals) noexcept nogil:
    """products_of_chunk for the rows that no wide row holds, added to the totals."""
    cdef Py_ssize_t i, c
    cdef floating d
    for i in range((plan.M - plan.rest) * plan.C, plan.M * plan.C):
        c = i % plan.C
        d = g[i] if lets_through(passed, i) else 0
        totals[c] += d
        totals[plan.C + c] += d * (<double>x[i] - centre[c])
        if dz != NULL:
            dz[i] = d
