# The weighted sum over a window, and its adjoint.

def window_sum(const floating[:, :, :, ::1] x, const floating[:, ::1] weights, const floating[:, ::1] scale,
               floating[:, :, :, ::1] y, geo):
    """reference.window_sum. One task per output row."""
    cdef Window win = window_of(geo)
    cdef Py_ssize_t row, size = y.shape[0] * y.shape[1] * y.shape[2] * y.shape[3]
    if size == 0:
        return
    for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size * win.kh * win.kw)):
        if floating is float:
            sum_row(<const vector_float*>&x[0, 0, 0, 0], <const vector_float*>&weights[0, 0], <const vector_float*>&scale[0, 0],
                    <vector_float*>&y[0, 0, 0, 0], row, &win)
        else:
            sum_row(<const vector_double*>&x[0, 0, 0, 0], <const vector_double*>&weights[0, 0], <const vector_double*>&scale[0, 0],
                    <vector_double*>&y[0, 0, 0, 0], row, &win)


cdef void sum_row(const vector* x, const vector* weights, const vector* scale, vector* y, Py_ssize_t row,
                  const Window* win) noexcept nogil:
    """The OW windows of one output row (n, oy)."""
    cdef Py_ssize_t ox, c, n = row // win.OH, C = win.C, lanes = lanes_of(x), start = row * win.OW * C, row_end = start + win.OW * C
    cdef const vector* image = at(x, n * win.H * win.W * C)
    cdef const vector* factor = at(scale, row % win.OH * win.OW)
    cdef Py_ssize_t end = (win.N - n) * win.H * win.W * C
    cdef Taps taps
    taps.iy = win.sy * (row % win.OH) - win.top
    taps.ky0, taps.ky1 = first_tap(taps.iy, win.dy), end_tap(taps.iy, win.dy, win.kh, win.H)
    for ox in range(win.OW):
        taps.ix = win.sx * ox - win.left
        taps.kx0, taps.kx1 = first_tap(taps.ix, win.dx), end_tap(taps.ix, win.dx, win.kw, win.W)
        if C >= 4 * lanes:
            for c from 0 <= c < C by 4 * lanes:
                c = min(c, C - 4 * lanes)
                sum_block(image, weights, at(factor, ox), y, start + c, c, end, row_end, &taps, win, 4, 0)
        elif C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                c = min(c, C - 2 * lanes)
                sum_block(image, weights, at(factor, ox), y, start + c, c, end, row_end, &taps, win, 2, 0)
        elif C >= lanes:
            for c from 0 <= c < C by lanes:
                c = min(c, C - lanes)
                sum_block(image, weights, at(factor, ox), y, start + c, c, end, row_end, &taps, win, 1, 0)
        else:
            sum_block(image, weights, at(factor, ox), y, start, 0, end, row_end, &taps, win, 1, 1)
        start += C


cdef inline void sum_block(const vector* image, const vector* weights, const vector* scale, vector* y, Py_ssize_t to, Py_ssize_t c,
                           Py_ssize_t end, Py_ssize_t row_end, const Taps* taps, const Window* win, const int registers,
                           const bint partial) noexcept nogil:
    """Some registers of channels, from channel c on, of one window, stored from element `to` on. Each row of the window is summed by
    itself, then the rows: large windows round less. `registers` and `partial` are constants wherever this is called."""
    cdef vector total[4]
    cdef vector part[4]
    cdef Py_ssize_t ky, kx, j, cell, lanes = lanes_of(image)
    for j in range(registers):
        total[j] = zeros(image)
    for ky in range(taps.ky0, taps.ky1):
        cell = ((taps.iy + win.dy * ky) * win.W + taps.ix + win.dx * taps.kx0) * win.C + c
        for j in range(registers):
            part[j] = zeros(image)
        for kx in range(taps.kx0, taps.kx1):
            for j in range(registers):
                part[j] = part[j] + scaled(weights, ky * win.kw + kx, read(image, cell + j * lanes, end, partial))
            cell += win.dx * win.C
        for j in range(registers):
            total[j] = total[j] + part[j]
    for j in range(registers):
        write(y, to + j * lanes, scaled(scale, 0, total[j]), row_end, partial)


def window_spread(const floating[:, :, :, ::1] g, const floating[:, ::1] weights, const floating[:, ::1] scale,
                  floating[:, :, :, ::1] x, geo):
    """reference.window_spread. Tasks as in pool_scatter."""
    cdef Window win = window_of(geo)
    cdef Cover rows, columns
    cdef Py_ssize_t row, size = x.shape[0] * x.shape[1] * x.shape[2] * x.shape[3]
    cdef Py_ssize_t* rows_memory = NULL
    cdef Py_ssize_t* columns_memory = NULL
    if size == 0:
        return
    if tiled(&win):
        for row in prange(win.N * win.OH, nogil=True, schedule="static", num_threads=threads_for(size)):
            if floating is float:
                tile_row(<const vector_float*>&g[0, 0, 0, 0], <const unsigned char*>NULL, 0, <const vector_float*>&weights[0, 0],
                         <const vector_float*>&scale[0, 0], <vector_float*>&x[0, 0, 0, 0], row, &win)
            else:
                tile_row(<const vector_double*>&g[0, 0, 0, 0], <const unsigned char*>NULL, 0, <const vector_double*>&weights[0, 0],
                         <const vector_double*>&scale[0, 0], <vector_double*>&x[0, 0, 0, 0], row, &win)
        return
    try:
        rows_memory = cover_axis(&rows, win.H, win.kh, win.OH, win.sy, win.dy, win.top)
        columns_memory = cover_axis(&columns, win.W, win.kw, win.OW, win.sx, win.dx, win.left)
        for row in prange(win.N * win.H, nogil=True, schedule="static", num_threads=threads_for(size)):
            if floating is float:
                spread_row(<const vector_float*>&g[0, 0, 0, 0], <const vector_float*>&weights[0, 0], <const vector_float*>&scale[0, 0],
                           <vector_float*>&x[0, 0, 0, 0], row, &rows, &columns, &win)
            else:
                spread_row(<const vector_double*>&g[0, 0, 0, 0], <const vector_double*>&weights[0, 0], <const vector_double*>&scale[0, 0],
                           <vector_double*>&x[0, 0, 0, 0], row, &rows, &columns, &win)
    finally:
        free(rows_memory)
        free(columns_memory)


cdef void spread_row(const vector* g, const vector* weights, const vector* scale, vector* x, Py_ssize_t row,
                     const Cover* rows, const Cover* columns, const Window* win) noexcept nogil:
    """The W cells of one image row (n, iy)."""
    cdef Py_ssize_t ix, c, n = row // win.H, iy = row % win.H, C = win.C, lanes = lanes_of(g)
    cdef Py_ssize_t start = row * win.W * C, row_end = start + win.W * C
    cdef const vector* image = at(g, n * win.OH * win.OW * C)
    cdef Py_ssize_t end = (win.N - n) * win.OH * win.OW * C
    for ix in range(win.W):
        if C >= 4 * lanes:
            for c from 0 <= c < C by 4 * lanes:
                c = min(c, C - 4 * lanes)
                spread_block(image, weights, scale, x, start + c, c, end, row_end, iy, ix, rows, columns, win, 4, 0)
        elif C >= 2 * lanes:
            for c from 0 <= c < C by 2 * lanes:
                c = min(c, C - 2 * lanes)
                spread_block(image, weights, scale, x, start + c, c, end, row_end, iy, ix, rows, columns, win, 2, 0)
        elif C >= lanes:
            for c from 0 <= c < C by lanes:
                c = min(c, C - lanes)
                spread_block(image, weights, scale, x, start + c, c, end, row_end, iy, ix, rows, columns, win, 1, 0)
        else:
            spread_block(image, weights, scale, x, start, 0, end, row_end, iy, ix, rows, columns, win, 1, 1)
        start += C


cdef inline void spread_block(const vector* image, const vector* weights, const vector* scale, vector* x, Py_ssize_t to, Py_ssize_t c,
                              Py_ssize_t end, Py_ssize_t row_end, Py_ssize_t iy, Py_ssize_t ix, const Cover* rows, const Cover* columns,
                              const Window* win, const int registers, const bint partial) noexcept nogil:
    """Some registers of channels of one cell: for each window that covers it, its value times its scale and this cell's weight."""
    cdef vector total[4]
    cdef Py_ssize_t i, k, j, tap, window, lanes = lanes_of(image)
    for j in range(registers):
        total[j] = zeros(image)
    for i in range(rows.first[iy], rows.first[iy + 1]):
        for k in range(columns.first[ix], columns.first[ix + 1]):
            tap = rows.tap[i] * win.kw + columns.tap[k]
            window = rows.place[i] * win.OW + columns.place[k]
            for j in range(registers):
                total[j] = total[j] + scaled(weights, tap, scaled(scale, window, read(image, window * win.C + c + j * lanes, end, partial)))
    for j in range(registers):
        write(x, to + j * lanes, total[j], row_end, partial)
