# Local response normalisation: every value is divided by a power of a sum of squares over neighbouring channels.
#
# A block of rows is copied into near memory with zeros between the rows, so that a window that reaches beyond a row's channels adds
# nothing. There every loop goes along one flat array, whole registers at a time, across rows and zeros alike: no tails. The sum over a
# window of n channels is n loads of neighbouring addresses and n − 1 additions; nothing is subtracted, so no rounding is carried along.

from libc.math cimport pow, sqrt, sqrtf
from libc.stdlib cimport calloc


cdef struct Response:
    # A window goes from `before` channels below to `after` above; `rows` rows of C channels stand `stride` apart in arrays of `length`.
    Py_ssize_t C, before, after, stride, rows, length
    double scale, beta, k


cdef Response response_of(Py_ssize_t C, Py_ssize_t size, double alpha, double beta, double k) noexcept nogil:
    """How rows are laid out: some 1,000 values at a time. Windows are cut to the channels that exist."""
    cdef Response r
    r.C, r.before, r.after = C, min(size // 2, C - 1), min((size - 1) // 2, C - 1)
    r.stride = C + r.before
    r.rows = max(1, 1024 // r.stride)
    r.length = r.before + r.rows * r.stride + r.before + TGC_BYTES // 4
    r.scale, r.beta, r.k = alpha / size, beta, k
    return r


cdef inline vector beside(const vector* array, Py_ssize_t elements) noexcept nogil:
    """The register that begins `elements` elements further on."""
    return (<const vector*>(<const char*>array + elements * (4 if vector is vector_float else 8)))[0]


cdef void squares_of(const vector* x, vector* squares, Py_ssize_t registers) noexcept nogil:
    """x² of everything."""
    cdef Py_ssize_t i
    for i in range(registers):
        squares[i] = x[i] * x[i]


cdef inline void add_windows(const vector* values, vector* sums, Py_ssize_t registers, const Py_ssize_t n, double scale,
                             double k) noexcept nogil:
    """sums[c] = k + scale · (values[c] + … + values[c + n − 1])."""
    cdef Py_ssize_t i, j
    cdef vector total
    for i in range(registers):
        total = values[i]
        for j in range(1, n):
            total = total + beside(values + i, j)
        sums[i] = total * each(total, scale) + each(total, k)


cdef void window_sums(const vector* values, vector* sums, Py_ssize_t registers, Py_ssize_t n, double scale, double k) noexcept nogil:
    """add_windows; five channels, which every published network takes, are added without a loop."""
    if n == 5:
        add_windows(values, sums, registers, 5, scale, k)
    else:
        add_windows(values, sums, registers, n, scale, k)


cdef void raise_to(floating* base, Py_ssize_t count, double beta) noexcept nogil:
    """base ← base^beta; three quarters, which every published network takes, are two roots, of which the compiler makes registers."""
    cdef Py_ssize_t i
    cdef floating root
    if beta == 0.75:
        for i in range(count):
            root = sqrtf(base[i]) if floating is float else sqrt(base[i])
            base[i] = root * (sqrtf(root) if floating is float else sqrt(root))
    else:
        for i in range(count):
            base[i] = <floating>pow(base[i], beta)


cdef void divide(const vector* x, vector* y, Py_ssize_t registers) noexcept nogil:
    """y ← x / y."""
    cdef Py_ssize_t i
    for i in range(registers):
        y[i] = x[i] / y[i]


cdef void share(const vector* x, const vector* direct, const vector* base, vector* products, Py_ssize_t registers) noexcept nogil:
    """products = x · direct / base."""
    cdef Py_ssize_t i
    for i in range(registers):
        products[i] = x[i] * direct[i] / base[i]


cdef void subtract(const vector* x, const vector* sums, vector* direct, Py_ssize_t registers) noexcept nogil:
    """direct ← direct + x · sums."""
    cdef Py_ssize_t i
    for i in range(registers):
        direct[i] = direct[i] + x[i] * sums[i]


cdef void copy_rows(const floating* source, Py_ssize_t apart, floating* to, Py_ssize_t stride, Py_ssize_t rows,
                    Py_ssize_t C) noexcept nogil:
    """Rows of C values that stand `apart`, to places `stride` apart."""
    cdef Py_ssize_t m
    for m in range(rows):
        memcpy(to + m * stride, source + m * apart, C * sizeof(floating))


cdef void response_part(const floating* x, floating* y, Py_ssize_t start, Py_ssize_t end, const Response* r,
                        floating* memory) noexcept nogil:
    """y of rows start … end − 1. `memory` holds three arrays, of which the first two begin as zeros."""
    cdef floating* values = memory + r.before
    cdef floating* squares = values + r.length
    cdef floating* base = squares + r.length
    cdef Py_ssize_t m, rows, count, registers, n = r.before + r.after + 1
    for m from start <= m < end by r.rows:
        rows = min(r.rows, end - m)
        count = rows * r.stride
        registers = (count * sizeof(floating) + TGC_BYTES - 1) // TGC_BYTES
        copy_rows(x + m * r.C, r.C, values, r.stride, rows, r.C)
        if floating is float:
            squares_of(<const vector_float*>values, <vector_float*>squares, registers)
            window_sums(<const vector_float*>(squares - r.before), <vector_float*>base, registers, n, r.scale, r.k)
            raise_to(base, count, r.beta)
            divide(<const vector_float*>values, <vector_float*>base, registers)
        else:
            squares_of(<const vector_double*>values, <vector_double*>squares, registers)
            window_sums(<const vector_double*>(squares - r.before), <vector_double*>base, registers, n, r.scale, r.k)
            raise_to(base, count, r.beta)
            divide(<const vector_double*>values, <vector_double*>base, registers)
        copy_rows(base, r.stride, y + m * r.C, r.C, rows, r.C)


cdef void response_gradient_part(const floating* g, const floating* x, floating* dx, Py_ssize_t start, Py_ssize_t end, const Response* r,
                                 floating* memory) noexcept nogil:
    """dx of rows start … end − 1. `memory` holds five arrays, of which the first three begin as zeros."""
    cdef floating* values = memory + r.before
    cdef floating* squares = values + r.length
    cdef floating* cotangents = squares + r.length
    cdef floating* base = cotangents + r.length
    cdef floating* direct = base + r.length
    cdef double slope = -2 * r.scale * r.beta
    cdef Py_ssize_t m, i, rows, count, registers, n = r.before + r.after + 1
    for m from start <= m < end by r.rows:
        rows = min(r.rows, end - m)
        count = rows * r.stride
        registers = (count * sizeof(floating) + TGC_BYTES - 1) // TGC_BYTES
        copy_rows(x + m * r.C, r.C, values, r.stride, rows, r.C)
        copy_rows(g + m * r.C, r.C, cotangents, r.stride, rows, r.C)
        if floating is float:
            squares_of(<const vector_float*>values, <vector_float*>squares, registers)
            window_sums(<const vector_float*>(squares - r.before), <vector_float*>base, registers, n, r.scale, r.k)
        else:
            squares_of(<const vector_double*>values, <vector_double*>squares, registers)
            window_sums(<const vector_double*>(squares - r.before), <vector_double*>base, registers, n, r.scale, r.k)
        memcpy(direct, base, count * sizeof(floating))
        raise_to(direct, count, r.beta)
        if floating is float:
            divide(<const vector_float*>cotangents, <vector_float*>direct, registers)
            share(<const vector_float*>values, <const vector_float*>direct, <const vector_float*>base, <vector_float*>squares, registers)
        else:
            divide(<const vector_double*>cotangents, <vector_double*>direct, registers)
            share(<const vector_double*>values, <const vector_double*>direct, <const vector_double*>base, <vector_double*>squares,
                  registers)
        for i in range(rows):                       # 0 / 0, or what a row that is not finite left in the zeros beside it
            memset(squares + i * r.stride + r.C, 0, r.before * sizeof(floating))
        if floating is float:
            window_sums(<const vector_float*>(squares - r.after), <vector_float*>base, registers, n, slope, 0)
            subtract(<const vector_float*>values, <const vector_float*>base, <vector_float*>direct, registers)
        else:
            window_sums(<const vector_double*>(squares - r.after), <vector_double*>base, registers, n, slope, 0)
            subtract(<const vector_double*>values, <const vector_double*>base, <vector_double*>direct, registers)
        copy_rows(direct, r.stride, dx + m * r.C, r.C, rows, r.C)


cdef void* zeros(Py_ssize_t values, size_t itemsize) except NULL:
    """Memory for `values` zeros; to be freed."""
    cdef void* memory = calloc(values, itemsize)
    if memory == NULL:
        raise MemoryError(f"local response normalisation: no memory for its rows, {values * itemsize} bytes")
    return memory
