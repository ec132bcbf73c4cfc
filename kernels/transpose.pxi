# A square of lanes × lanes elements, transposed in registers: rows of it come in, columns go out, and no element moves by itself.
#
# Laying the rows of the upper half and of the lower half together like two halves of a pack of cards (row 0 with row lanes/2, and so on),
# element by element, doubles how many neighbours have come from one column; after log₂(lanes) rounds each vector is a column.
cdef extern from *:
    """
    /* The first halves of a and b, their elements taken in turn; and the last halves. */
    #define TGC_FIRST_2(a, b) __builtin_shufflevector(a, b, 0, 2)
    #define TGC_LAST_2(a, b) __builtin_shufflevector(a, b, 1, 3)
    #define TGC_FIRST_4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
    #define TGC_LAST_4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
    #define TGC_FIRST_8(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
    #define TGC_LAST_8(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
    #define TGC_FIRST_16(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    #define TGC_LAST_16(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    #if TGC_BYTES == 64
    #define TGC_FIRST_FLOAT TGC_FIRST_16
    #define TGC_LAST_FLOAT TGC_LAST_16
    #define TGC_FIRST_DOUBLE TGC_FIRST_8
    #define TGC_LAST_DOUBLE TGC_LAST_8
    #elif TGC_BYTES == 32
    #define TGC_FIRST_FLOAT TGC_FIRST_8
    #define TGC_LAST_FLOAT TGC_LAST_8
    #define TGC_FIRST_DOUBLE TGC_FIRST_4
    #define TGC_LAST_DOUBLE TGC_LAST_4
    #else
    #define TGC_FIRST_FLOAT TGC_FIRST_4
    #define TGC_LAST_FLOAT TGC_LAST_4
    #define TGC_FIRST_DOUBLE TGC_FIRST_2
    #define TGC_LAST_DOUBLE TGC_LAST_2
    #endif
    """
    vector_float first_halves_float "TGC_FIRST_FLOAT"(vector_float a, vector_float b) noexcept nogil
    vector_float last_halves_float "TGC_LAST_FLOAT"(vector_float a, vector_float b) noexcept nogil
    vector_double first_halves_double "TGC_FIRST_DOUBLE"(vector_double a, vector_double b) noexcept nogil
    vector_double last_halves_double "TGC_LAST_DOUBLE"(vector_double a, vector_double b) noexcept nogil


cdef inline void transpose_square(const int lanes, const floating* rows, Py_ssize_t row_stride, vector* columns,
                                  Py_ssize_t column_stride) noexcept nogil:
    """columns[j·column_stride + i] = rows[i·row_stride + j] for i, j < lanes, a constant at the call; strides count elements."""
    cdef vector line[16]
    cdef vector mixed[16]
    cdef int i, distance
    for i in range(lanes):
        line[i] = (<const vector*>(rows + i * row_stride))[0]
    for distance in range(4):                      # log₂(lanes) rounds: as many as there are powers of two below it
        if 1 << distance < lanes:
            for i in range(lanes // 2):
                if vector is vector_float:
                    mixed[2 * i] = first_halves_float(line[i], line[i + lanes // 2])
                    mixed[2 * i + 1] = last_halves_float(line[i], line[i + lanes // 2])
                else:
                    mixed[2 * i] = first_halves_double(line[i], line[i + lanes // 2])
                    mixed[2 * i + 1] = last_halves_double(line[i], line[i + lanes // 2])
            for i in range(lanes):
                line[i] = mixed[i]
    for i in range(lanes):
        (<vector*>(<floating*>columns + i * column_stride))[0] = line[i]
