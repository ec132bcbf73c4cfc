# What is done with some registers of channels of one window. `registers`, `partial` and `side` are constants wherever these are
# called: running values stay in registers, and the loops over a 2 × 2 or a 3 × 3 window (side 2 or 3) are unrolled.

cdef struct Taps:
    # The cells of one window that lie inside the image: ky0 <= ky < ky1, kx0 <= kx < kx1 of kw in a row; in a whole window all of them.
    # Elements from one cell to the next below it, and to the next at its right.
    Py_ssize_t ky0, ky1, kx0, kx1, kw, down, right


cdef inline void maximum_block(const vector* image, Py_ssize_t cell, Py_ssize_t end, const Taps* taps, vector* y, unsigned char* where,
                               bint wide, Py_ssize_t to, Py_ssize_t row_end, const int registers, const bint partial,
                               const int side) noexcept nogil:
    """The maximum and its tap. The window's first cell, inside the image or not, lies at element `cell` of it; the results at `to`."""
    cdef Py_ssize_t ky, kx, j, lanes = lanes_of(image), kw = side if side else taps.kw
    cdef Py_ssize_t ky0 = 0 if side else taps.ky0, kx0 = 0 if side else taps.kx0
    cdef Py_ssize_t ky1 = side if side else taps.ky1, kx1 = side if side else taps.kx1
    cdef vector best[4]
    cdef vector taken[4]
    cdef vector tap
    for ky in range(ky0, ky1):
        for kx in range(kx0, kx1):
            tap = every_lane(image, ky * kw + kx)
            for j in range(registers):
                if ky == ky0 and kx == kx0:
                    best[j], taken[j] = read(image, cell + ky * taps.down + kx * taps.right + j * lanes, end, partial), tap
                else:
                    take(read(image, cell + ky * taps.down + kx * taps.right + j * lanes, end, partial), tap, &best[j], &taken[j])
    for j in range(registers):
        write(y, to + j * lanes, best[j], row_end, partial)
        write_taps(where, to + j * lanes, taken[j], row_end, wide, partial)


cdef inline void sum_block(const vector* image, Py_ssize_t cell, Py_ssize_t end, const Taps* taps, const vector* weights,
                           const vector* scale, vector* y, Py_ssize_t to, Py_ssize_t row_end, const int registers, const bint partial,
                           const int side) noexcept nogil:
    """scale · Σ weights · x. Each row of the window is summed by itself, then the rows: large windows round less."""
    cdef Py_ssize_t ky, kx, j, lanes = lanes_of(image), kw = side if side else taps.kw
    cdef Py_ssize_t ky0 = 0 if side else taps.ky0, kx0 = 0 if side else taps.kx0
    cdef Py_ssize_t ky1 = side if side else taps.ky1, kx1 = side if side else taps.kx1
    cdef vector total[4]
    cdef vector part[4]
    for j in range(registers):
        total[j] = zeros(image)
    for ky in range(ky0, ky1):
        for j in range(registers):
            part[j] = zeros(image)
        for kx in range(kx0, kx1):
            for j in range(registers):
                part[j] = part[j] + scaled(weights, ky * kw + kx,
                                           read(image, cell + ky * taps.down + kx * taps.right + j * lanes, end, partial))
        for j in range(registers):
            total[j] = total[j] + part[j]
    for j in range(registers):
        write(y, to + j * lanes, scaled(scale, 0, total[j]), row_end, partial)


cdef inline void tile_block(const vector* g, Py_ssize_t start, Py_ssize_t end, const unsigned char* where, bint wide,
                            const vector* weights, const vector* scale, const Taps* taps, vector* x, Py_ssize_t cell, Py_ssize_t row_end,
                            bint streams, const int registers, const bint partial, const int side) noexcept nogil:
    """The adjoint of either where windows tile the image: a window's value is read once, and written to each of its cells by the tap
    that was taken or, where there are none (NULL), by weights and scale. `row_end` is the end of the window's first row of cells."""
    cdef Py_ssize_t ky, kx, j, lanes = lanes_of(g), kh = side if side else taps.ky1, kw = side if side else taps.kw
    cdef vector value[4]
    cdef vector taken[4]
    cdef vector given[4]
    cdef vector tap
    for j in range(registers):
        value[j] = read(g, start + j * lanes, end, partial)
        if where != NULL:
            taken[j] = read_taps(where, start + j * lanes, end, wide, partial, g)
        else:
            value[j] = scaled(scale, 0, value[j])
    for ky in range(kh):
        for kx in range(kw):
            tap = every_lane(g, ky * kw + kx)
            for j in range(registers):
                if where != NULL:
                    given[j] = only(value[j], taken[j], tap)
                else:
                    given[j] = scaled(weights, ky * kw + kx, value[j])
            put(x, cell + ky * taps.down + kx * taps.right, given, row_end + ky * taps.down, streams, registers, partial)
