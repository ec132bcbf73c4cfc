# The maximum of a window with its position, and reading and adding at positions.
from libc.math cimport INFINITY


def max_pool2d(const floating[:, :, :, ::1] x, floating[:, :, :, ::1] y, int[:, :, :, ::1] where, geo):
    """reference.max_pool2d. One task per output row."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        if floating is float:
            maximum_row(<const vector_float*>&x[0, 0, 0, 0], <vector_float*>&y[0, 0, 0, 0], &where[0, 0, 0, 0], row, &win)
        else:
            maximum_row(<const vector_double*>&x[0, 0, 0, 0], <vector_double*>&y[0, 0, 0, 0], &where[0, 0, 0, 0], row, &win)


cdef void maximum_row(const vector* x, vector* y, int* where, Py_ssize_t row, const Window* win) noexcept nogil:
    """The OW windows of one output row (n, oy)."""
    cdef Py_ssize_t ox, c, n = row // win.OH, C = win.C, lanes = lanes_of(x), start = row * win.OW * C
    cdef const vector* image = at(x, n * win.H * win.W * C)
    cdef Py_ssize_t end = (win.N - n) * win.H * win.W * C
    cdef Taps taps
    taps.iy = win.sy * (row % win.OH) - win.top
    taps.ky0, taps.ky1 = first_tap(taps.iy, win.dy), end_tap(taps.iy, win.dy, win.kh, win.H)
    for ox in range(win.OW):
        taps.ix = win.sx * ox - win.left
        taps.kx0, taps.kx1 = first_tap(taps.ix, win.dx), end_tap(taps.ix, win.dx, win.kw, win.W)
        if taps.ky0 >= taps.ky1 or taps.kx0 >= taps.kx1:
            nothing(y, where, start, C)
        elif C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                c = min(c, C - 2 * lanes)
                maximum_block(image, y, where, start + c, c, end, &taps, win, 2, 0)
        elif C >= lanes:
            maximum_block(image, y, where, start, 0, end, &taps, win, 1, 0)
            if C > lanes:
                maximum_block(image, y, where, start + C - lanes, C - lanes, end, &taps, win, 1, 0)
        else:
            maximum_block(image, y, where, start, 0, end, &taps, win, 1, 1)
        start += C


cdef void nothing(vector* y, int* where, Py_ssize_t start, Py_ssize_t C) noexcept nogil:
    """A window without a cell: minus infinity, at no position."""
    cdef Py_ssize_t i
    for i in range(start, start + C):
        where[i] = -1
        if vector is vector_float:
            (<float*>y)[i] = -INFINITY
        else:
            (<double*>y)[i] = -INFINITY


cdef inline void maximum_block(const vector* image, vector* y, int* where, Py_ssize_t to, Py_ssize_t c, Py_ssize_t end, const Taps* taps,
                               const Window* win, const int registers, const bint partial) noexcept nogil:
    """The channels of one or two registers, from channel c on, of one window, stored from element `to` on. `registers` and
    `partial` are constants wherever this is called, so that the running maxima and positions stay in registers."""
    cdef Py_ssize_t ky, kx, lanes = lanes_of(image)
    cdef Py_ssize_t cell = ((taps.iy + win.dy * taps.ky0) * win.W + taps.ix + win.dx * taps.kx0) * win.C + c
    cdef vector best = read(image, cell, end, partial), place = position_bits(image, cell), best2 = best, place2 = place
    if registers == 2:
        best2, place2 = at(image, cell + lanes)[0], position_bits(image, cell + lanes)
    for ky in range(taps.ky0, taps.ky1):
        cell = ((taps.iy + win.dy * ky) * win.W + taps.ix + win.dx * taps.kx0) * win.C + c
        for kx in range(taps.kx0, taps.kx1):            # meets the first cell again, which does not beat itself
            take(read(image, cell, end, partial), position_bits(image, cell), &best, &place)
            if registers == 2:
                take(at(image, cell + lanes)[0], position_bits(image, cell + lanes), &best2, &place2)
            cell += win.dx * win.C
    write(y, to, best, win.C, partial)
    write_positions(where + to, place, win.C if partial else lanes)
    if registers == 2:
        write(y, to + lanes, best2, win.C, 0)
        write_positions(where + to + lanes, place2, lanes)


cdef extern from *:
    """
    /* Positions travel in registers of the values' own kind, as the bits of integers as wide as they are: one mask selects both.
       !(value <= best) is true of a NaN as well; best is itself a NaN only where best != best, and then it stays. */
    #define TGC_TAKE(NAME, VECTOR, INTEGER) \
    static inline __attribute__((always_inline)) void NAME(VECTOR value, VECTOR position, VECTOR* best, VECTOR* place) { \
        typedef INTEGER bits __attribute__((vector_size(TGC_BYTES))); \
        bits takes = (bits)(~(value <= *best) & (*best == *best)); \
        *best = (VECTOR)((takes & (bits)value) | (~takes & (bits)*best)); \
        *place = (VECTOR)((takes & (bits)position) | (~takes & (bits)*place)); \
    } \
    static inline __attribute__((always_inline)) VECTOR NAME##_bits(INTEGER position) { \
        typedef INTEGER bits __attribute__((vector_size(TGC_BYTES))); \
        bits zero = {0}; \
        return (VECTOR)(zero + position); \
    }
    TGC_TAKE(tgc_take_float, vector_float, int)
    TGC_TAKE(tgc_take_double, vector_double, long long)
    """
    void tgc_take_float(vector_float value, vector_float position, vector_float* best, vector_float* place) nogil
    void tgc_take_double(vector_double value, vector_double position, vector_double* best, vector_double* place) nogil
    vector_float tgc_take_float_bits(int position) nogil
    vector_double tgc_take_double_bits(long long position) nogil


cdef inline void take(vector value, vector position, vector* best, vector* place) noexcept nogil:
    """Lane by lane: where value beats best, best and place become value and position."""
    if vector is vector_float:
        tgc_take_float(value, position, best, place)
    else:
        tgc_take_double(value, position, best, place)


cdef inline vector position_bits(const vector* like, Py_ssize_t cell) noexcept nogil:
    """The position of a register's first lane, in each of its lanes."""
    if vector is vector_float:
        return tgc_take_float_bits(<int>cell)
    else:
        return tgc_take_double_bits(cell)


cdef inline void write_positions(int* where, vector place, Py_ssize_t count) noexcept nogil:
    """Store the positions of `count` lanes, each counted from the register's first."""
    cdef int narrow[16]                # as many as the widest registers hold
    cdef long long wide[8]
    cdef int j
    if vector is vector_float:
        memcpy(narrow, &place, TGC_BYTES)
        for j in range(<int>count):
            where[j] = narrow[j] + j
    else:
        memcpy(wide, &place, TGC_BYTES)
        for j in range(<int>count):
            where[j] = <int>wide[j] + j


def pool_gather(const floating[:, :, :, ::1] x, const int[:, :, :, ::1] where, floating[:, :, :, ::1] y, geo):
    """reference.pool_gather. One task per output row; reads jump about in one image, writes run along C."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size)):
        gather_row(&x[0, 0, 0, 0], &where[0, 0, 0, 0], &y[0, 0, 0, 0], row, &win)


cdef void gather_row(const floating* x, const int* where, floating* y, Py_ssize_t row, const Window* win) noexcept nogil:
    """The values of one output row (n, oy)."""
    cdef Py_ssize_t i
    cdef const floating* image = x + row // win.OH * win.H * win.W * win.C
    for i in range(row * win.OW * win.C, (row + 1) * win.OW * win.C):
        y[i] = image[where[i]] if where[i] >= 0 else 0


def pool_scatter(const floating[:, :, :, ::1] g, const int[:, :, :, ::1] where, floating[:, :, :, ::1] x, geo):
    """reference.pool_scatter. One task per image and, for few images, per block of its channels: a window's position keeps its
    channel, so no two tasks write one cell, and each cell adds its windows in order."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t task, parts, size = x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]
    if size == 0:
        return
    parts = max(1, min((THREADS + win.N - 1) // win.N, win.C // 16))          # however cut, each cell sees the same sum
    for task in prange(win.N * parts, nogil=True, schedule="static", num_threads=threads_for(size)):
        scatter_part(&g[0, 0, 0, 0], &where[0, 0, 0, 0], &x[0, 0, 0, 0], task, parts, &win)


cdef void scatter_part(const floating* g, const int* where, floating* x, Py_ssize_t task, Py_ssize_t parts,
                       const Window* win) noexcept nogil:
    """The channels c0 <= c < c1 of one image. Rows are cleared just before the first window that reaches them, while near."""
    cdef Py_ssize_t n = task // parts, part = task % parts, C = win.C, oy, ox, c, i, cleared = 0, reach
    cdef Py_ssize_t c0 = part * C // parts, c1 = (part + 1) * C // parts
    cdef floating* image = x + n * win.H * win.W * C
    for oy in range(win.OH):
        reach = min(win.H, max(cleared, win.sy * oy - win.top + win.dy * (win.kh - 1) + 1))
        clear_channels(image, cleared * win.W, reach * win.W, C, c0, c1)
        cleared = reach
        for ox in range(win.OW):
            i = ((n * win.OH + oy) * win.OW + ox) * C
            for c in range(c0, c1):
                if where[i + c] >= 0:
                    image[where[i + c]] += g[i + c]
    clear_channels(image, cleared * win.W, win.H * win.W, C, c0, c1)


cdef void clear_channels(floating* image, Py_ssize_t start, Py_ssize_t end, Py_ssize_t C, Py_ssize_t c0, Py_ssize_t c1) noexcept nogil:
    """Zero the channels c0 <= c < c1 of the cells start … end − 1."""
    cdef Py_ssize_t cell
    if c1 - c0 == C:
        memset(image + start * C, 0, (end - start) * C * sizeof(floating))
        return
    for cell in range(start, end):
        memset(image + cell * C + c0, 0, (c1 - c0) * sizeof(floating))
