# What the rows of a block go through: their maxima off, exponentials, sums.

cdef void below_maximum(const floating* x, floating* y, Py_ssize_t start, Py_ssize_t end, Py_ssize_t C) noexcept nogil:
    """y = x − the largest of its row, for rows start … end − 1. A NaN need not be found here: it comes out of the exponentials."""
    cdef Py_ssize_t m, c
    cdef floating top
    for m in range(start, end):
        top = x[m * C]
        for c in range(1, C):
            top = x[m * C + c] if x[m * C + c] > top else top
        for c in range(C):
            y[m * C + c] = x[m * C + c] - top


cdef void exponentials(floating* y, Py_ssize_t count) noexcept nogil:
    """y = e^y in place: whole vectors, then what is left as one vector more."""
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), done = count // lanes * lanes, i
    cdef floating rest[TGC_BYTES]
    if floating is float:
        exponential_vectors(<vector_float*>y, count // lanes)
    else:
        exponential_vectors(<vector_double*>y, count // lanes)
    if done < count:
        for i in range(lanes):
            rest[i] = y[done + i] if done + i < count else 0
        if floating is float:
            exponential_vectors(<vector_float*>rest, 1)
        else:
            exponential_vectors(<vector_double*>rest, 1)
        for i in range(done, count):
            y[i] = rest[i - done]


cdef void exponential_vectors(vector* y, Py_ssize_t count) noexcept nogil:
    """y = e^y, vector by vector."""
    cdef Py_ssize_t i
    for i in range(count):
        y[i] = vector_exp(y[i])


cdef inline double sum_of(const floating* y, Py_ssize_t count) noexcept nogil:
    """Σ y, piece by piece; the pieces' sums are carried on in double, so that the error does not grow with the length of a row."""
    cdef Py_ssize_t at = BLOCK
    cdef double total = sum_of_piece(y, min(count, at))
    while at < count:
        total += sum_of_piece(y + at, min(count - at, <Py_ssize_t>BLOCK))
        at += BLOCK
    return total


cdef inline double sum_of_products(const floating* a, const floating* b, Py_ssize_t count) noexcept nogil:
    """Σ a · b in double, as eight running sums side by side, whatever the instruction set."""
    cdef double part[8]
    cdef Py_ssize_t i = 0, j
    for j in range(8):
        part[j] = 0
    while i + 8 <= count:
        for j in range(8):
            part[j] += <double>a[i + j] * b[i + j]
        i += 8
    for j in range(count - i):
        part[j] += <double>a[i + j] * b[i + j]
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))


cdef inline floating sum_of_piece(const floating* y, Py_ssize_t count) noexcept nogil:
    """Σ y: eight running sums side by side while there are eight values, whatever the instruction set, so that all give the same bits."""
    cdef floating part[8]
    cdef Py_ssize_t i, j
    for j in range(8):
        part[j] = 0
    i = 0
    while i + 8 <= count:
        for j in range(8):
            part[j] += y[i + j]
        i += 8
    for j in range(count - i):
        part[j] += y[i + j]
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))
