# The five transforms of F(4×4, 3×3), one vector of channels at a time: each is a product with a matrix of reference.py from both sides,
# first along one axis of the patch, then along the other.
#
#     points 0, ±√½, ±√2, ∞      the two rows of a pair ±p have the same even and the same odd part, which are computed once:
#                                a product with a whole 6×6 matrix of Bᵀ is 12 operations
#
# The `*_line` functions are one such product; `to` is filled at distance `pitch`. A half-transformed patch (36 vectors) stays on the stack.

cdef enum:
    PATCH = 6           # rows and columns of input under a tile
    TILE = 4            # rows and columns of output in a tile
    POINTS = 36         # products per tile and pair of channels, where the direct sum has 144

cdef extern from *:
    """
    #define ROOT_HALF 0.70710678118654752440
    #define ROOT_TWO 1.41421356237309504880
    """
    double ROOT_HALF, ROOT_TWO


cdef inline vector times(double factor, vector a) noexcept nogil:
    """factor · a, in a's own precision."""
    if vector is vector_float:
        return <float>factor * a
    else:
        return factor * a


cdef inline void input_line(const vector* a, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to = Bᵀ a: 6 values from 6."""
    cdef vector even = a[4] - times(2, a[2]), odd = times(ROOT_HALF, a[3] - times(2, a[1]))
    to[0] = a[0] + a[4] - times(2.5, a[2])
    to[pitch] = even + odd
    to[2 * pitch] = even - odd
    even = a[4] - times(0.5, a[2])
    odd = times(ROOT_TWO, a[3] - times(0.5, a[1]))
    to[3 * pitch] = even + odd
    to[4 * pitch] = even - odd
    to[5 * pitch] = a[1] + a[5] - times(2.5, a[3])


cdef inline void output_line(const vector* a, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to = Aᵀ a: 4 values from 6."""
    cdef vector even = a[1] + a[2], odd = times(ROOT_HALF, a[1] - a[2])
    cdef vector even_two = a[3] + a[4], odd_two = times(ROOT_TWO, a[3] - a[4])
    to[0] = a[0] + even + even_two
    to[pitch] = odd + odd_two
    to[2 * pitch] = times(0.5, even) + times(2, even_two)
    to[3 * pitch] = times(0.5, odd) + times(2, odd_two) + a[5]


cdef inline void cotangent_line(const vector* a, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to = A a: 6 values from 4."""
    cdef vector even = a[0] + times(0.5, a[2]), odd = times(ROOT_HALF, a[1] + times(0.5, a[3]))
    to[0] = a[0]
    to[pitch] = even + odd
    to[2 * pitch] = even - odd
    even = a[0] + times(2, a[2])
    odd = times(ROOT_TWO, a[1] + times(2, a[3]))
    to[3 * pitch] = even + odd
    to[4 * pitch] = even - odd
    to[5 * pitch] = a[3]


cdef inline void filter_line(const vector* a, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to = G a: 6 values from 3."""
    cdef vector even = times(2.0 / 3, a[0]) + times(1.0 / 3, a[2]), odd = times(2.0 / 3 * ROOT_HALF, a[1])
    to[0] = a[0]
    to[pitch] = -even - odd
    to[2 * pitch] = odd - even
    even = times(1.0 / 6, a[0]) + times(1.0 / 3, a[2])
    odd = times(1.0 / 6 * ROOT_TWO, a[1])
    to[3 * pitch] = even + odd
    to[4 * pitch] = even - odd
    to[5 * pitch] = a[2]


cdef inline void weight_line(const vector* a, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to = Gᵀ a: 3 values from 6."""
    cdef vector even = a[1] + a[2], even_two = a[3] + a[4]
    to[0] = a[0] - times(2.0 / 3, even) + times(1.0 / 6, even_two)
    to[pitch] = times(1.0 / 6 * ROOT_TWO, a[3] - a[4]) - times(2.0 / 3 * ROOT_HALF, a[1] - a[2])
    to[2 * pitch] = times(1.0 / 3, even_two - even) + a[5]


cdef inline void transform_input(floating** cell, Py_ssize_t channel, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to[36] = Bᵀ d B of the 6×6 cells d, `channel` on."""
    cdef vector line[PATCH]
    cdef vector half[PATCH * PATCH]
    cdef int i, j
    for j in range(PATCH):
        for i in range(PATCH):
            line[i] = (<const vector*>(cell[PATCH * i + j] + channel))[0]
        input_line(line, half + j, PATCH)
    for i in range(PATCH):
        input_line(half + PATCH * i, to + PATCH * i * pitch, pitch)


cdef inline void transform_output(const vector* sums, Py_ssize_t pitch, floating** cell, Py_ssize_t channel) noexcept nogil:
    """The 4×4 cells, `channel` on, = Aᵀ m A of the 36 sums m."""
    cdef vector line[PATCH]
    cdef vector half[TILE * PATCH]
    cdef int i, j
    for j in range(PATCH):
        for i in range(PATCH):
            line[i] = sums[(PATCH * i + j) * pitch]
        output_line(line, half + j, PATCH)
    for i in range(TILE):
        output_line(half + PATCH * i, line, 1)
        for j in range(TILE):
            (<vector*>(cell[TILE * i + j] + channel))[0] = line[j]


cdef inline void transform_cotangent(floating** cell, Py_ssize_t channel, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to[36] = A g Aᵀ of the 4×4 cells g, `channel` on."""
    cdef vector line[TILE]
    cdef vector half[PATCH * TILE]
    cdef int i, j
    for j in range(TILE):
        for i in range(TILE):
            line[i] = (<const vector*>(cell[TILE * i + j] + channel))[0]
        cotangent_line(line, half + j, TILE)
    for i in range(PATCH):
        cotangent_line(half + TILE * i, to + PATCH * i * pitch, pitch)


cdef inline void transform_filter(const vector* tap, Py_ssize_t distance, vector* to, Py_ssize_t pitch) noexcept nogil:
    """to[36] = G w Gᵀ of the 3×3 taps w."""
    cdef vector line[3]
    cdef vector half[PATCH * 3]
    cdef int i, j
    for j in range(3):
        for i in range(3):
            line[i] = tap[(3 * i + j) * distance]
        filter_line(line, half + j, 3)
    for i in range(PATCH):
        filter_line(half + 3 * i, to + PATCH * i * pitch, pitch)


cdef inline void transform_weight(const vector* sums, Py_ssize_t pitch, vector* tap, Py_ssize_t distance) noexcept nogil:
    """The 3×3 taps = Gᵀ u G of the 36 sums u."""
    cdef vector line[PATCH]
    cdef vector half[3 * PATCH]
    cdef int i, j
    for j in range(PATCH):
        for i in range(PATCH):
            line[i] = sums[(PATCH * i + j) * pitch]
        weight_line(line, half + j, PATCH)
    for i in range(3):
        weight_line(half + PATCH * i, tap + 3 * i * distance, distance)
