# The maximum of a window with its tap, and reading and adding at those taps.

def max_pool2d(const floating[:, :, :, ::1] x, floating[:, :, :, ::1] y, where, geo):
    """reference.max_pool2d. One task per output row."""
    cdef Window win = window_of(geo)
    cdef unsigned char[::1] taken = where.reshape(-1).view("uint8")
    cdef Arrays arrays
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    arrays.x, arrays.y = <void*>&x[0, 0, 0, 0], &y[0, 0, 0, 0]
    arrays.where, arrays.wide, arrays.streams = &taken[0], where.itemsize > 1, 0
    arrays.weights, arrays.scale = NULL, NULL
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        if floating is float:
            window_row(MAXIMUM, &arrays, <const vector_float*>NULL, row, &win)
        else:
            window_row(MAXIMUM, &arrays, <const vector_double*>NULL, row, &win)


def pool_scatter(const floating[:, :, :, ::1] g, where, floating[:, :, :, ::1] x, geo):
    """reference.pool_scatter. One task per row of windows where these tile the image; elsewhere one per image row."""
    cdef Window win = window_of(geo)
    cdef const unsigned char[::1] taken = where.reshape(-1).view("uint8")
    cdef Arrays arrays
    cdef Py_ssize_t row, size = x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]
    if size == 0 or taken.shape[0] == 0:
        x[...] = 0
        return
    arrays.x, arrays.y = &x[0, 0, 0, 0], <void*>&g[0, 0, 0, 0]
    arrays.where, arrays.wide = <unsigned char*>&taken[0], where.itemsize > 1
    arrays.weights, arrays.scale = NULL, NULL
    arrays.streams = may_stream(arrays.x, size, win.C, sizeof(floating))
    if not tiled(&win):
        if floating is float:
            gather_cells(&arrays, <const vector_float*>NULL, &win, threads_for(size))
        else:
            gather_cells(&arrays, <const vector_double*>NULL, &win, threads_for(size))
        return
    with nogil, parallel(num_threads=threads_for(size)):
        for row in prange(win.N * win.OH, schedule="static"):
            if floating is float:
                window_row(TILE_TAPS, &arrays, <const vector_float*>NULL, row, &win)
            else:
                window_row(TILE_TAPS, &arrays, <const vector_double*>NULL, row, &win)
        fence()


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
