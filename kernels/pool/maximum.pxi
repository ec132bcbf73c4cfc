# The maximum of a window with its tap, and reading at those taps.
from libc.math cimport INFINITY


def max_pool2d(const floating[:, :, :, ::1] x, floating[:, :, :, ::1] y, where, geo):
    """reference.max_pool2d. One task per output row."""
    cdef Window win = window_of(geo)
    cdef unsigned char[::1] taken = where.reshape(-1).view("uint8")
    cdef bint wide = where.itemsize > 1
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        if floating is float:
            maximum_row(<const vector_float*>&x[0, 0, 0, 0], <vector_float*>&y[0, 0, 0, 0], &taken[0], wide, row, &win)
        else:
            maximum_row(<const vector_double*>&x[0, 0, 0, 0], <vector_double*>&y[0, 0, 0, 0], &taken[0], wide, row, &win)


cdef void maximum_row(const vector* x, vector* y, unsigned char* where, bint wide, Py_ssize_t row, const Window* win) noexcept nogil:
    """The OW windows of one output row (n, oy)."""
    cdef Py_ssize_t ox, c, n = row // win.OH, C = win.C, lanes = lanes_of(x), start = row * win.OW * C, row_end = start + win.OW * C
    cdef const vector* image = at(x, n * win.H * win.W * C)
    cdef Py_ssize_t end = (win.N - n) * win.H * win.W * C
    cdef Taps taps
    taps.iy = win.sy * (row % win.OH) - win.top
    taps.ky0, taps.ky1 = first_tap(taps.iy, win.dy), end_tap(taps.iy, win.dy, win.kh, win.H)
    for ox in range(win.OW):
        taps.ix = win.sx * ox - win.left
        taps.kx0, taps.kx1 = first_tap(taps.ix, win.dx), end_tap(taps.ix, win.dx, win.kw, win.W)
        if taps.ky0 >= taps.ky1 or taps.kx0 >= taps.kx1:
            nothing(y, where, wide, win.kh * win.kw, start, C)
        elif C >= 4 * lanes:
            for c from 0 <= c < C by 4 * lanes:
                c = min(c, C - 4 * lanes)
                maximum_block(image, y, where, wide, start + c, c, end, row_end, &taps, win, 4, 0)
        elif C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                c = min(c, C - 2 * lanes)
                maximum_block(image, y, where, wide, start + c, c, end, row_end, &taps, win, 2, 0)
        elif C >= lanes:
            for c from 0 <= c < C by lanes:
                c = min(c, C - lanes)
                maximum_block(image, y, where, wide, start + c, c, end, row_end, &taps, win, 1, 0)
        else:
            maximum_block(image, y, where, wide, start, 0, end, row_end, &taps, win, 1, 1)
        start += C


cdef void nothing(vector* y, unsigned char* where, bint wide, Py_ssize_t none, Py_ssize_t start, Py_ssize_t C) noexcept nogil:
    """A window without a cell: minus infinity, at no tap."""
    cdef Py_ssize_t i
    for i in range(start, start + C):
        if wide:
            (<int*>where)[i] = <int>none
        else:
            where[i] = <unsigned char>none
        if vector is vector_float:
            (<float*>y)[i] = -INFINITY
        else:
            (<double*>y)[i] = -INFINITY


cdef inline void maximum_block(const vector* image, vector* y, unsigned char* where, bint wide, Py_ssize_t to, Py_ssize_t c, Py_ssize_t end,
                               Py_ssize_t row_end, const Taps* taps, const Window* win, const int registers,
                               const bint partial) noexcept nogil:
    """Some registers of channels, from channel c on, of one window, stored from element `to` on. `registers` and `partial` are
    constants wherever this is called, so that the running maxima and taps stay in registers."""
    cdef Py_ssize_t ky, kx, j, lanes = lanes_of(image)
    cdef Py_ssize_t cell = ((taps.iy + win.dy * taps.ky0) * win.W + taps.ix + win.dx * taps.kx0) * win.C + c
    cdef vector best[4]
    cdef vector taken[4]
    cdef vector tap = every_lane(image, taps.ky0 * win.kw + taps.kx0)
    for j in range(registers):
        best[j], taken[j] = read(image, cell + j * lanes, end, partial), tap
    for ky in range(taps.ky0, taps.ky1):
        cell = ((taps.iy + win.dy * ky) * win.W + taps.ix + win.dx * taps.kx0) * win.C + c
        tap = every_lane(image, ky * win.kw + taps.kx0)
        for kx in range(taps.kx0, taps.kx1):            # meets the first cell again, which does not beat itself
            for j in range(registers):
                take(read(image, cell + j * lanes, end, partial), tap, &best[j], &taken[j])
            cell += win.dx * win.C
            tap = next_tap(tap)
    for j in range(registers):
        write(y, to + j * lanes, best[j], row_end, partial)
        write_taps(where, to + j * lanes, taken[j], row_end, wide, partial)


def pool_gather(const floating[:, :, :, ::1] x, where, floating[:, :, :, ::1] y, geo):
    """reference.pool_gather. One task per output row; reads jump about in one window, writes run along C."""
    cdef Window win = window_of(geo)
    cdef const unsigned char[::1] taken = where.reshape(-1).view("uint8")
    cdef bint wide = where.itemsize > 1
    cdef Py_ssize_t row, tap, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    cdef Py_ssize_t* ahead
    if size == 0:
        return
    ahead = <Py_ssize_t*>malloc(win.kh * win.kw * sizeof(Py_ssize_t))
    if ahead == NULL:
        raise MemoryError(f"pool_gather: no memory for the table of {win.kh * win.kw} cells")
    for tap in range(win.kh * win.kw):                  # how far a tap lies from its window's first cell
        ahead[tap] = (win.dy * (tap // win.kw) * win.W + win.dx * (tap % win.kw)) * win.C
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size)):
        gather_row(&x[0, 0, 0, 0], &taken[0], wide, ahead, &y[0, 0, 0, 0], row, &win)
    free(ahead)


cdef void gather_row(const floating* x, const unsigned char* where, bint wide, const Py_ssize_t* ahead, floating* y, Py_ssize_t row,
                     const Window* win) noexcept nogil:
    """The values of one output row (n, oy)."""
    cdef Py_ssize_t ox, c, i = row * win.OW * win.C, tap, taps = win.kh * win.kw
    cdef Py_ssize_t first = ((row // win.OH * win.H + win.sy * (row % win.OH) - win.top) * win.W - win.left) * win.C
    for ox in range(win.OW):
        for c in range(win.C):
            tap = (<const int*>where)[i] if wide else where[i]
            y[i] = x[first + win.sx * ox * win.C + ahead[tap] + c] if tap < taps else 0
            i += 1
