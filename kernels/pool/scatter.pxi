# Adding at the taps that a maximum took: the gradient of max pooling.

def pool_scatter(const floating[:, :, :, ::1] g, where, floating[:, :, :, ::1] x, geo):
    """reference.pool_scatter. One task per row of windows where these tile the image; elsewhere one per image row, which gathers from
    the windows that cover it: no two tasks write one cell."""
    cdef Window win = window_of(geo)
    cdef const unsigned char[::1] taken = where.reshape(-1).view("uint8")
    cdef bint wide = where.itemsize > 1
    cdef Cover rows, columns
    cdef Py_ssize_t row, size = x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]
    cdef Py_ssize_t* rows_memory = NULL
    cdef Py_ssize_t* columns_memory = NULL
    if size == 0 or taken.shape[0] == 0:
        x[...] = 0
        return
    if tiled(&win):
        for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size)):
            if floating is float:
                tile_row(<const vector_float*>&g[0, 0, 0, 0], &taken[0], wide, <const vector_float*>NULL, <const vector_float*>NULL,
                         <vector_float*>&x[0, 0, 0, 0], row, &win)
            else:
                tile_row(<const vector_double*>&g[0, 0, 0, 0], &taken[0], wide, <const vector_double*>NULL, <const vector_double*>NULL,
                         <vector_double*>&x[0, 0, 0, 0], row, &win)
        return
    try:
        rows_memory = cover_axis(&rows, win.H, win.kh, win.OH, win.sy, win.dy, win.top)
        columns_memory = cover_axis(&columns, win.W, win.kw, win.OW, win.sx, win.dx, win.left)
        for row in prange(win.N * win.H, nogil=True, schedule="static", num_threads=threads_for(size)):
            if floating is float:
                collect_row(<const vector_float*>&g[0, 0, 0, 0], &taken[0], wide, <vector_float*>&x[0, 0, 0, 0], row,
                            &rows, &columns, &win)
            else:
                collect_row(<const vector_double*>&g[0, 0, 0, 0], &taken[0], wide, <vector_double*>&x[0, 0, 0, 0], row,
                            &rows, &columns, &win)
    finally:
        free(rows_memory)
        free(columns_memory)


cdef void collect_row(const vector* g, const unsigned char* where, bint wide, vector* x, Py_ssize_t row, const Cover* rows,
                      const Cover* columns, const Window* win) noexcept nogil:
    """The W cells of one image row (n, iy)."""
    cdef Py_ssize_t ix, c, n = row // win.H, iy = row % win.H, C = win.C, lanes = lanes_of(g)
    cdef Py_ssize_t start = row * win.W * C, row_end = start + win.W * C, size = win.OH * win.OW * C, end = (win.N - n) * size
    cdef const vector* image = at(g, n * size)
    cdef const unsigned char* taken = where + n * size * (4 if wide else 1)
    for ix in range(win.W):
        if C >= 4 * lanes:
            for c from 0 <= c < C by 4 * lanes:
                c = min(c, C - 4 * lanes)
                collect_block(image, taken, wide, x, start + c, c, end, row_end, iy, ix, rows, columns, win, 4, 0)
        elif C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                c = min(c, C - 2 * lanes)
                collect_block(image, taken, wide, x, start + c, c, end, row_end, iy, ix, rows, columns, win, 2, 0)
        elif C >= lanes:
            for c from 0 <= c < C by lanes:
                c = min(c, C - lanes)
                collect_block(image, taken, wide, x, start + c, c, end, row_end, iy, ix, rows, columns, win, 1, 0)
        else:
            collect_block(image, taken, wide, x, start, 0, end, row_end, iy, ix, rows, columns, win, 1, 1)
        start += C


cdef inline void collect_block(const vector* image, const unsigned char* where, bint wide, vector* x, Py_ssize_t to, Py_ssize_t c,
                               Py_ssize_t end, Py_ssize_t row_end, Py_ssize_t iy, Py_ssize_t ix, const Cover* rows, const Cover* columns,
                               const Window* win, const int registers, const bint partial) noexcept nogil:
    """Some registers of channels of one cell: the values of the windows that cover it and took it."""
    cdef vector total[4]
    cdef vector tap
    cdef Py_ssize_t i, k, j, window, lanes = lanes_of(image)
    for j in range(registers):
        total[j] = zeros(image)
    for i in range(rows.first[iy], rows.first[iy + 1]):
        for k in range(columns.first[ix], columns.first[ix + 1]):
            tap = every_lane(image, rows.tap[i] * win.kw + columns.tap[k])
            window = (rows.place[i] * win.OW + columns.place[k]) * win.C + c
            for j in range(registers):
                total[j] = total[j] + only(read(image, window + j * lanes, end, partial),
                                           read_taps(where, window + j * lanes, end, wide, partial, image), tap)
    for j in range(registers):
        write(x, to + j * lanes, total[j], row_end, partial)
