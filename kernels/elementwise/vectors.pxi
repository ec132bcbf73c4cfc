# The operations, one loop each over whole vectors. What they compute stands in reference.py.

cdef extern from *:
    """
    /* The larger or smaller of a and b, element by element; NaN in either wins. */
    #define TGC_MAXIMUM(a, b) TGC_CHOOSE(((a) > (b)) | ((a) != (a)), a, b)
    #define TGC_MINIMUM(a, b) TGC_CHOOSE(((a) < (b)) | ((a) != (a)), a, b)
    /* v, or 0 (not -0) where it is not positive; NaN stays. */
    #define TGC_POSITIVE(v) ((__typeof__(v))(~((v) <= 0) & (__typeof__((v) <= 0))(v)))
    """
    vector_float positive_float "TGC_POSITIVE"(vector_float v) noexcept nogil
    vector_double positive_double "TGC_POSITIVE"(vector_double v) noexcept nogil
    vector_float maximum_float "TGC_MAXIMUM"(vector_float a, vector_float b) noexcept nogil
    vector_double maximum_double "TGC_MAXIMUM"(vector_double a, vector_double b) noexcept nogil
    vector_float minimum_float "TGC_MINIMUM"(vector_float a, vector_float b) noexcept nogil
    vector_double minimum_double "TGC_MINIMUM"(vector_double a, vector_double b) noexcept nogil

cdef enum:
    NEGATIVE, ABS, SQUARE, EXP, TANH, SIGMOID, RELU, NOTHING
    ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM, GATE, TANH_SLOPE, SIGMOID_SLOPE


cdef inline vector absolute(vector x) noexcept nogil:
    """|x|: without its sign bit."""
    if vector is vector_float:
        return <vector_float>((<vector_int>x) & 0x7FFFFFFF)
    else:
        return <vector_double>((<vector_long>x) & 0x7FFFFFFFFFFFFFFFLL)


cdef void unary_vectors(int op, const vector* x, vector* y, Py_ssize_t count) noexcept nogil:
    """y = op(x)."""
    cdef Py_ssize_t i
    if op == NEGATIVE:
        for i in range(count):
            y[i] = -x[i]
    elif op == ABS:
        for i in range(count):
            y[i] = absolute(x[i])
    elif op == SQUARE:
        for i in range(count):
            y[i] = x[i] * x[i]
    elif op == EXP:
        for i in range(count):
            y[i] = vector_exp(x[i])
    elif op == TANH:
        for i in range(count):
            y[i] = vector_tanh(x[i])
    elif op == SIGMOID:
        for i in range(count):
            y[i] = vector_sigmoid(x[i])
    elif op == RELU:
        for i in range(count):
            y[i] = positive_float(x[i]) if vector is vector_float else positive_double(x[i])
    elif op == NOTHING:
        for i in range(count):
            y[i] = each(x[i], 0)


cdef void binary_vectors(int op, const vector* a, const vector* b, vector* y, Py_ssize_t count) noexcept nogil:
    """y = op(a, b)."""
    cdef Py_ssize_t i
    if op == ADD:
        for i in range(count):
            y[i] = a[i] + b[i]
    elif op == SUBTRACT:
        for i in range(count):
            y[i] = a[i] - b[i]
    elif op == MULTIPLY:
        for i in range(count):
            y[i] = a[i] * b[i]
    elif op == DIVIDE:
        for i in range(count):
            y[i] = a[i] / b[i]
    elif op == MAXIMUM:
        for i in range(count):
            y[i] = maximum_float(a[i], b[i]) if vector is vector_float else maximum_double(a[i], b[i])
    elif op == MINIMUM:
        for i in range(count):
            y[i] = minimum_float(a[i], b[i]) if vector is vector_float else minimum_double(a[i], b[i])
    elif op == GATE:
        for i in range(count):
            y[i] = sloped(a[i], b, i, 1)
    elif op == TANH_SLOPE:
        for i in range(count):
            y[i] = sloped(a[i], b, i, 2)
    elif op == SIGMOID_SLOPE:
        for i in range(count):
            y[i] = a[i] * (b[i] * (each(b[i], 1) - b[i]))


cdef void line_of_values(int op, const floating* a, const floating* b, const floating* c, floating* y, Py_ssize_t count) noexcept nogil:
    """A line of y: its whole vectors, then what is left of it as one vector more. b and c are NULL for the operations of fewer values."""
    cdef Py_ssize_t lanes = TGC_BYTES // sizeof(floating), vectors = count // lanes, rest = vectors * lanes, i
    cdef floating first[TGC_BYTES]
    cdef floating second[TGC_BYTES]
    cdef floating third[TGC_BYTES]
    if op >= NUMBERS:
        numbers(op, a, b, c, y, count)
        return
    vectors_of_values(op, a, b, c, y, vectors)
    if rest < count:
        for i in range(lanes):
            first[i], second[i], third[i] = 1, 1, 1
        for i in range(rest, count):
            first[i - rest] = a[i]
            if b != NULL:
                second[i - rest] = b[i]
            if c != NULL:
                third[i - rest] = c[i]
        vectors_of_values(op, first, NULL if b == NULL else second, third, first, 1)
        for i in range(rest, count):
            y[i] = first[i - rest]


cdef void vectors_of_values(int op, const floating* a, const floating* b, const floating* c, floating* y, Py_ssize_t count) noexcept nogil:
    """unary_vectors, binary_vectors or slope_vectors."""
    if floating is float:
        if b == NULL:
            unary_vectors(op, <const vector_float*>a, <vector_float*>y, count)
        elif op < SQUARE_SLOPE:
            binary_vectors(op, <const vector_float*>a, <const vector_float*>b, <vector_float*>y, count)
        else:
            slope_vectors(op, <const vector_float*>a, <const vector_float*>b, <const vector_float*>c, <vector_float*>y, count)
    else:
        if b == NULL:
            unary_vectors(op, <const vector_double*>a, <vector_double*>y, count)
        elif op < SQUARE_SLOPE:
            binary_vectors(op, <const vector_double*>a, <const vector_double*>b, <vector_double*>y, count)
        else:
            slope_vectors(op, <const vector_double*>a, <const vector_double*>b, <const vector_double*>c, <vector_double*>y, count)
