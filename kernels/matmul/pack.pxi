# Columns of b in the order in which the tile (tile.pxi) reads them: blocks of two vectors, a line of each for every term of the sum.

cdef void pack_group(const floating* b, Py_ssize_t term_stride, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns,
                     floating* packed) noexcept nogil:
    """A group of blocks, each `terms` lines long. Lines that lie a power of two apart share few lines of the cache: 16 at a time."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), j, k = 0, width, some
    if column_stride != 1:
        j = 0
        while j < columns:
            width = smaller(2 * lanes, columns - j)
            pack_transposed(b + j * column_stride, column_stride, terms, width, packed + j * terms)
            j += width
        return
    while k < terms:
        some = smaller(16, terms - k)
        j = 0
        while j < columns:
            width = smaller(2 * lanes, columns - j)
            pack(b + k * term_stride + j, term_stride, 1, some, width, packed + j * terms + k * round_up(width, lanes))
            j += width
        k += some


cdef void pack_transposed(const floating* b, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns,
                          floating* packed) noexcept nogil:
    """packed[k, j] = b[j·column_stride + k] for one block: squares of lanes × lanes; terms and columns past the last square one by one."""
    cdef Py_ssize_t lanes = lanes_of(sizeof(floating)), width = round_up(columns, lanes), squares = terms // lanes * lanes, j = 0, k
    while j + lanes <= columns:
        k = 0
        while k < squares:
            if floating is float:
                transpose_square(TGC_BYTES // 4, b + j * column_stride + k, column_stride, <vector_float*>(packed + k * width + j), width)
            else:
                transpose_square(TGC_BYTES // 8, b + j * column_stride + k, column_stride, <vector_double*>(packed + k * width + j), width)
            k += lanes
        if squares < terms:
            pack_corner(b + j * column_stride + squares, column_stride, terms - squares, lanes, packed + squares * width + j, width, lanes)
        j += lanes
    if j < columns:
        pack_corner(b + j * column_stride, column_stride, terms, columns - j, packed + j, width, lanes)


cdef void pack_corner(const floating* b, Py_ssize_t column_stride, Py_ssize_t terms, Py_ssize_t columns, floating* packed, Py_ssize_t width,
                      Py_ssize_t lanes) noexcept nogil:
    """What does not fill a square, element by element, with zeros in the lanes past the columns."""
    cdef Py_ssize_t j, k
    for k in range(terms):
        for j in range(columns):
            packed[k * width + j] = b[j * column_stride + k]
        for j in range(columns, lanes):
            packed[k * width + j] = 0
